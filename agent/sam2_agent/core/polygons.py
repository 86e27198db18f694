"""Polygons from and to masks.

Coordinates are those of CVAT's canvas: pixel (i, j) covers the square from (i, j) to (i + 1, j + 1).  A pixel
is inside a polygon when its center is, by the even-odd rule.

CVAT's polygon is one ring.  A mask of several parts is written as its largest part, and holes are filled: a
bridge between parts, or a slit to a hole, is what annotators would have to repair by hand.  The track itself
goes on with the whole mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.masks import finite_numbers, require_size, tight_box
from sam2_agent.errors import InvalidShape

TOLERANCE = 1.0
"""How far, in pixels, a simplified outline may lie from the pixels' own."""

_FARTHEST = 1e6
"""No coordinate is farther from the image's corner than this."""

_MAX_CROSSINGS = 2**24
"""The most crossings of edges and rows of pixels; a polygon with more is nothing that a person drew."""

_SCALE = 2
"""An outline is taken from the mask enlarged by this: it runs 1 / (2 * scale) inside the pixels' edges."""


def rasterize(points: Sequence[float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of a polygon x0, y0, x1, y1, ... in an image of `size` (width, height).

    What lies outside the image is cut off.  The answer is bool of shape (height, width), maybe all false.

    Raises:
        InvalidShape: the points are no polygon.
    """
    width, height = require_size(size)
    numbers = finite_numbers(points)
    if numbers.size < 6 or numbers.size % 2:
        raise InvalidShape("A polygon needs at least three points; draw it again.")
    if np.abs(numbers).max() > _FARTHEST:
        raise InvalidShape("A polygon lies far outside the image; draw it again.")
    corners = numbers.reshape(-1, 2)
    toggles = _crossings(corners, np.roll(corners, -1, axis=0), width, height)
    inside = np.zeros((height, width + 1), dtype=np.uint8)
    np.bitwise_xor.at(inside, toggles, 1)
    filled: NDArray[np.bool_] = np.bitwise_xor.accumulate(inside, axis=1)[:, :width].astype(np.bool_)
    return filled


def _crossings(
    starts: NDArray[np.float64], ends: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where edges cross the rows of pixel centers: rows, and the first column whose center is right of it."""
    upper = np.where(starts[:, 1:] <= ends[:, 1:], starts, ends)
    lower = np.where(starts[:, 1:] <= ends[:, 1:], ends, starts)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(np.int64)
    after = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(np.int64)
    counts = after - first
    if counts.sum() > _MAX_CROSSINGS:
        raise InvalidShape("A polygon has too many points; simplify it and try again.")
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    fraction = (rows + 0.5 - upper[edge, 1]) / (lower[edge, 1] - upper[edge, 1])
    x = upper[edge, 0] + fraction * (lower[edge, 0] - upper[edge, 0])
    columns = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    return rows, columns


def outline(mask: NDArray[np.bool_]) -> list[float] | None:
    """The outline of a mask's largest part as x0, y0, x1, y1, ...; None for an empty mask.

    `mask` is bool of shape (height, width).  Among parts of the same size the topmost one counts.
    """
    box = tight_box(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    inside = mask[y1:y2, x1:x2].astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    part = (labels == largest).astype(np.uint8)
    enlarged = part.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    contours, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = contours[0]
    simple = cv2.approxPolyDP(contour, TOLERANCE * _SCALE, closed=True)
    if len(simple) < 3:
        simple = cv2.approxPolyDP(contour, 0, closed=True)
    corners = (simple[:, 0].astype(np.float64) + 0.5) / _SCALE + (x1, y1)
    points: list[float] = corners.ravel().tolist()
    return points
