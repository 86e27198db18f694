"""Between bitmaps and the shapes that CVAT sends and receives."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.polygons import rasterize
from tests.cvat_standin.annotator import Shape

Bitmap = NDArray[np.bool_]


_FINE = 4
"""Outlines are followed on a finer grid: along the edges of pixels, not through their middles."""


def outline(bitmap: Bitmap) -> Shape:
    """A polygon around the bitmap's largest part, as a careful annotator clicks it."""
    fine = bitmap.astype(np.uint8).repeat(_FINE, axis=0).repeat(_FINE, axis=1)
    found, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = cv2.approxPolyDP(max(found, key=cv2.contourArea), epsilon=0.8 * _FINE, closed=True)
    return Shape.polygon(*(((x + 0.5) / _FINE, (y + 0.5) / _FINE) for x, y in corners[:, 0].tolist()))


def bitmap_of(shape: Shape | None, size: tuple[int, int]) -> Bitmap:
    """The pixels of a mask or polygon in an image of `size` (width, height); none for a lost object."""
    width, height = size
    if shape is None:
        return np.zeros((height, width), np.bool_)
    if shape.type == "mask":
        return shape.bitmap(height, width)
    return rasterize(shape.points, size)


def iou(truth: Bitmap, found: Bitmap) -> float:
    """Intersection over union of two bitmaps; 1 where both are empty."""
    union = int((truth | found).sum())
    return int((truth & found).sum()) / union if union else 1.0
