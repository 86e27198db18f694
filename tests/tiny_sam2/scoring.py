"""How well masks fit the truth of a synthetic video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.tiny_sam2.synthetic_video import Video

CLEAR_SHARE = 0.2
"""An object is clearly visible where it shows this share of what the first frame showed of it."""

LOST_IOU = 0.1


@dataclass(slots=True)
class Score:
    """One number for each object and frame after the first.

    Attributes:
        shown: IoU where at least one pixel of the object is visible.
        clear: the same, where it is clearly visible.
        lost: 1 where it is clearly visible and the IoU below `LOST_IOU`, else 0.
        copied: IoU of the first frame's true mask put on every frame, where the object is visible.
        absent: 1 where the object is not there and nothing is marked, 0 where something is.
    """

    shown: list[float] = field(default_factory=list)
    clear: list[float] = field(default_factory=list)
    lost: list[float] = field(default_factory=list)
    copied: list[float] = field(default_factory=list)
    absent: list[float] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Take in the numbers of another video."""
        self.shown += other.shown
        self.clear += other.clear
        self.lost += other.lost
        self.copied += other.copied
        self.absent += other.absent


def iou(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks that are not both empty."""
    return float((truth & found).sum() / (truth | found).sum())


def score(video: Video, masks: NDArray[np.bool_]) -> Score:
    """Score masks of shape (frames, objects, height, width)."""
    result = Score()
    for obj in range(1, video.num_objects + 1):
        first = video.mask(0, obj)
        for frame in range(1, len(masks)):
            truth, found = video.mask(frame, obj), masks[frame, obj - 1]
            if not truth.any():
                result.absent.append(float(not found.any()))
                continue
            value = iou(truth, found)
            result.shown.append(value)
            result.copied.append(iou(truth, first))
            if truth.sum() >= CLEAR_SHARE * first.sum():
                result.clear.append(value)
                result.lost.append(float(value < LOST_IOU))
    return result
