"""A small video with known motion: two coloured squares on black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tests.cvat_standin.annotator import Shape

HEIGHT, WIDTH, SIDE = 48, 64, 10
RED, GREEN = (220, 30, 30), (30, 200, 60)


def red_corner(frame: int) -> tuple[int, int]:
    """The left and top of the red square."""
    return 4 + 3 * frame, 6 + frame


def green_corner(frame: int) -> tuple[int, int]:
    """The left and top of the green square."""
    return 40 - 2 * frame, 30


def draw(frame: int, *, red: bool = True) -> NDArray[np.uint8]:
    """The image of a frame, shape (48, 64, 3)."""
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for (left, top), colour, shown in ((red_corner(frame), RED, red), (green_corner(frame), GREEN, True)):
        if shown:
            image[top : top + SIDE, left : left + SIDE] = colour
    return image


def video(length: int) -> list[NDArray[np.uint8]]:
    """The images of the first frames."""
    return [draw(frame) for frame in range(length)]


def red_mask(frame: int) -> Shape:
    """The red square as a mask."""
    left, top = red_corner(frame)
    bitmap = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    bitmap[top : top + SIDE, left : left + SIDE] = True
    return Shape.mask(bitmap)


def green_polygon(frame: int) -> Shape:
    """The green square as a polygon."""
    left, top = green_corner(frame)
    right, bottom = left + SIDE - 1, top + SIDE - 1
    return Shape.polygon((left, top), (right, top), (right, bottom), (left, bottom))
