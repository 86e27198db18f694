"""Shapes as CVAT sends and receives them, and prompts and masks as the model does.

What comes in is untrusted: every error is a sentence for the annotator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.masks import decode_mask, encode_mask, finite_numbers, require_size, tight_box
from sam2_agent.core.polygons import outline, rasterize
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt, Prompt, ShapeType
from sam2_agent.errors import InvalidShape


def read_prompt(shape_type: str, points: Sequence[float], rotation: float, size: tuple[int, int]) -> Prompt:
    """The prompt that a shape on an image of `size` (width, height) is: a box for a rectangle, else a mask.

    `rotation` is in degrees.

    Raises:
        InvalidShape: the shape cannot be tracked.
    """
    if rotation % 360:
        # CVAT's answers have points only: whether its page would turn them is not said anywhere.
        raise InvalidShape(
            f"A rotated {shape_type} cannot be tracked; draw it upright or as a polygon, or leave it out."
        )
    match shape_type:
        case "mask":
            mask = decode_mask(points, size)
        case "polygon":
            mask = rasterize(points, size)
        case "rectangle":
            return BoxPrompt(_read_box(points, size))
        case _:
            raise InvalidShape(
                f"Shapes of type {shape_type} cannot be tracked; only masks, polygons and rectangles can."
            )
    if not mask.any():
        raise InvalidShape(f"A {shape_type} covers no pixel of the image; draw it again.")
    return MaskPrompt(mask)


def write_points(shape_type: ShapeType, mask: NDArray[np.bool_]) -> list[float] | None:
    """The points of a mask, bool (height, width), as a shape of that type; None where the mask is empty."""
    match shape_type:
        case "mask":
            encoded = encode_mask(mask)
            return None if encoded is None else [float(number) for number in encoded]
        case "polygon":
            return outline(mask)
        case "rectangle":
            box = tight_box(mask)
            return None if box is None else [float(number) for number in box]


def _read_box(points: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of a rectangle x1, y1, x2, y2 that lies on the image."""
    width, height = require_size(size)
    numbers = finite_numbers(points)
    if numbers.size != 4:
        raise InvalidShape("A rectangle is damaged: it needs two corners; draw it again.")
    x1, x2 = np.clip(numbers[[0, 2]], 0, width).tolist()
    y1, y2 = np.clip(numbers[[1, 3]], 0, height).tolist()
    if x1 >= x2 or y1 >= y2:
        raise InvalidShape(f"A rectangle covers nothing of the image of {width} x {height} pixels.")
    return x1, y1, x2, y2
