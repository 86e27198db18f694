"""A picture of videos and their masks: truth above, prediction below, one pair of rows for each video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.tiny_sam2.synthetic_video import Video

COLORS = np.array([[255, 40, 40], [40, 255, 40], [60, 90, 255]], np.float32)


def contact_sheet(cases: Iterable[tuple[Video, NDArray[np.bool_]]], columns: int = 7) -> Image.Image:
    """Draw videos with their predicted masks, each (frames, objects, height, width)."""
    rows = []
    for video, masks in cases:
        picked = np.linspace(0, len(masks) - 1, columns).astype(int)
        objects = range(1, video.num_objects + 1)
        truth = [_overlay(video.frames[t], [video.mask(t, obj) for obj in objects]) for t in picked]
        found = [_overlay(video.frames[t], list(masks[t])) for t in picked]
        rows += [np.concatenate(truth, 1), np.concatenate(found, 1)]
    return Image.fromarray(np.concatenate(rows, 0))


def _overlay(frame: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """The frame dimmed, with what each mask marks left bright, tinted and outlined."""
    image = 0.35 * frame.astype(np.float32)
    for place, mask in enumerate(masks):
        color = COLORS[place % len(COLORS)]
        inner = np.zeros_like(mask)
        inner[1:-1, 1:-1] = mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        image[mask] = 0.7 * frame[mask] + 0.3 * color
        image[mask & ~inner] = color
    return image.astype(np.uint8)
