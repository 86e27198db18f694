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

TOLERANCES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""How far, in pixels, a simplified outline may lie from the pixels' own: the first that keeps the object."""

LEAST_IOU = 0.9
"""What a simplified outline keeps of its object; thin and small ones need a finer tolerance for it."""

_FARTHEST = 1e6
"""No coordinate is farther from the image's corner than this."""

_MAX_CROSSINGS = 2**21
"""The most crossings of edges and rows of pixels; a polygon with more is nothing that a person drew."""

_SCALE = 2
"""An outline is taken from the mask enlarged by this: it runs 1 / (2 * scale) inside the pixels' edges."""

_PIXEL = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
"""The corners of a single pixel: inside of its edges it would be shorter than one."""


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

    `mask` is bool of shape (height, width).  Among parts of the same size the topmost one counts.  The
    outline has at least three corners and is at least a pixel long: CVAT's page drops what is less.
    """
    box = tight_box(mask)
    if box is None:
        return None
    x1, y1, x2, y2 = box
    inside = mask[y1:y2, x1:x2].astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    areas, tops = statistics[:, cv2.CC_STAT_AREA], statistics[:, cv2.CC_STAT_TOP]
    largest = 1 + int(np.lexsort((tops[1:], -areas[1:]))[0])
    left, top, width, height, area = statistics[largest].tolist()
    part = labels[top : top + height, left : left + width] == largest
    corners = _PIXEL if area == 1 else _simplified_outline(part.astype(np.uint8))
    points: list[float] = (corners + np.array((x1 + left, y1 + top))).ravel().tolist()
    return points


def _simplified_outline(part: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Corners (x, y) around a connected part, as few as keep `LEAST_IOU` of it with its holes filled."""
    enlarged = part.repeat(_SCALE, axis=0).repeat(_SCALE, axis=1)
    [contour], _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(enlarged, [contour], -1, 1, cv2.FILLED)[::_SCALE, ::_SCALE] > 0
    height, width = part.shape
    for tolerance in TOLERANCES:
        simple = cv2.approxPolyDP(contour, tolerance * _SCALE, closed=True)[:, 0]
        corners: NDArray[np.float64] = (simple.astype(np.float64) + 0.5) / _SCALE
        if len(corners) < 3:
            continue
        kept = rasterize(corners.ravel().tolist(), (width, height))
        if (kept & filled).sum() >= LEAST_IOU * (kept | filled).sum():
            break
    return corners
