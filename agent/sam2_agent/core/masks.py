"""Masks as CVAT writes them: run lengths of the row-major bitmap inside a box, then the box.

The runs alternate between background and object and begin with background, maybe with a run of 0.  The box is
x1, y1, x2, y2 with both corners inside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sam2_agent.errors import InvalidShape

MAX_PIXELS = 2**28
"""The largest image, about 16,000 by 16,000 pixels: nothing larger is ever allocated."""

MAX_SIDE = 65_535
"""The widest or highest image, in pixels."""


def encode_mask(mask: NDArray[np.bool_]) -> list[int] | None:
    """Write a mask, bool of shape (height, width), in its tight box; None for an empty one."""
    box = tight_box(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    flat = mask[y1:y2, x1:x2].ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], edges, [flat.size]))
    runs: list[int] = np.diff(starts).tolist()
    return [*([0] if flat[0] else []), *runs, x1, y1, x2 - 1, y2 - 1]


def decode_mask(points: Sequence[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask for an image of `size` (width, height): bool of shape (height, width), maybe all false.

    Nothing is allocated before the numbers are known to fit the image.

    Raises:
        InvalidShape: the numbers describe no mask in such an image.
    """
    width, height = require_size(size)
    numbers = finite_numbers(points)
    if numbers.size < 5 or numbers.size > width * height + 5:
        raise InvalidShape("A mask is damaged: it has too few or too many numbers; draw it again.")
    if (numbers != np.floor(numbers)).any() or (numbers < 0).any():
        raise InvalidShape("A mask is damaged: its numbers are not whole and positive; draw it again.")
    x1, y1, x2, y2 = (int(number) for number in numbers[-4:])
    if not (x1 <= x2 < width and y1 <= y2 < height):
        raise InvalidShape(f"A mask does not lie inside the image of {width} x {height} pixels.")
    rows, columns = y2 - y1 + 1, x2 - x1 + 1
    runs = numbers[:-4]
    if runs.max() > rows * columns or runs.sum() != rows * columns:
        raise InvalidShape("A mask is damaged: its pixels do not fill its box; draw it again.")
    inside = np.repeat(np.arange(runs.size) % 2 == 1, runs.astype(np.int64))
    mask = np.zeros((height, width), dtype=np.bool_)
    mask[y1 : y2 + 1, x1 : x2 + 1] = inside.reshape(rows, columns)
    return mask


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The smallest box x1, y1, x2, y2 around a mask, x2 and y2 just outside it; None for an empty mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    # Columns lie scattered in memory: only where there are rows of the object they are worth a look.
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def require_size(size: tuple[int, int]) -> tuple[int, int]:
    """Give back an image's width and height, or raise `InvalidShape` where no image is that large."""
    width, height = size
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or width * height > MAX_PIXELS:
        raise InvalidShape(
            f"An image of {width} x {height} pixels cannot be tracked; "
            f"{MAX_PIXELS:,} are the most, and {MAX_SIDE:,} in a row or column."
        )
    return width, height


def finite_numbers(points: Sequence[float]) -> NDArray[np.float64]:
    """A shape's points as float64 of shape (count,); raises `InvalidShape` unless all are finite numbers."""
    broken = InvalidShape("A shape is damaged: its points are not finite numbers; draw it again.")
    if not all(type(number) in (int, float) for number in points):
        raise broken
    try:
        numbers = np.array(points, dtype=np.float64)
    except OverflowError as error:
        raise broken from error
    if not np.isfinite(numbers).all():
        raise broken
    return numbers
