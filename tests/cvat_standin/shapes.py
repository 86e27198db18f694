"""Shapes as an annotator draws them and CVAT writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape as CVAT writes it.

    `points` of a mask: run lengths of the row-major bitmap in the box, zeros first, then left, top, right,
    bottom (inclusive); of a polygon: x0, y0, x1, y1, ...; of a rectangle: left, top, right, bottom.
    """

    type: Literal["mask", "polygon", "rectangle"]
    points: tuple[float, ...]
    rotation: float = 0.0

    @classmethod
    def mask(cls, bitmap: NDArray[np.bool_]) -> Shape:
        """The mask of a bitmap of shape (height, width), bool, with at least one pixel set."""
        rows, columns = bitmap.nonzero()
        if rows.size == 0:
            raise ValueError("a mask needs at least one pixel")
        left, top, right, bottom = columns.min(), rows.min(), columns.max(), rows.max()
        flat = bitmap[top : bottom + 1, left : right + 1].ravel()
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        runs = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
        leading = [0] if flat[0] else []
        return cls("mask", tuple(float(number) for number in (*leading, *runs, left, top, right, bottom)))

    @classmethod
    def polygon(cls, *points: tuple[float, float]) -> Shape:
        """The polygon through these points, (x, y) each."""
        return cls("polygon", tuple(float(number) for point in points for number in point))

    @classmethod
    def rectangle(
        cls, left: float, top: float, right: float, bottom: float, *, rotation: float = 0.0
    ) -> Shape:
        """A box; `rotation` in degrees, 0 to 360."""
        return cls("rectangle", (left, top, right, bottom), rotation)

    @classmethod
    def from_json(cls, shape: Mapping[str, Any]) -> Shape:
        """A shape of an answer."""
        return cls(shape["type"], tuple(map(float, shape["points"])), float(shape.get("rotation", 0.0)))

    def to_json(self) -> dict[str, Any]:
        """The shape for a request."""
        rotation = {"rotation": self.rotation} if self.rotation else {}
        return {"type": self.type, "points": list(self.points), **rotation}

    def bitmap(self, height: int, width: int) -> NDArray[np.bool_]:
        """A mask's bitmap, of shape (height, width)."""
        if self.type != "mask":
            raise ValueError(f"a {self.type} has no bitmap")
        *runs, left, top, right, bottom = (int(number) for number in self.points)
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        bitmap = np.zeros((height, width), dtype=np.bool_)
        bitmap[top : bottom + 1, left : right + 1] = values.reshape(bottom - top + 1, right - left + 1)
        return bitmap
