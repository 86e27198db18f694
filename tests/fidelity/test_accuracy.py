"""How well the small model tracks through our adapter, against the synthetic truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from tests.fidelity.clips import write_clip
from tests.fidelity.tracks import box_prompt, mask_prompt, track

SEEDS = range(2_000_000, 2_000_005)
NUM_FRAMES = 30


@pytest.mark.slow
def test_easy_videos_are_tracked_well(model: BuiltModel, tmp_path: Path) -> None:
    from_masks: list[float] = []
    from_boxes: list[float] = []
    for seed in SEEDS:
        clip = write_clip(tmp_path / str(seed), seed, "easy", NUM_FRAMES)
        objects = range(1, clip.num_objects + 1)
        for prompt, found in ((mask_prompt, from_masks), (box_prompt, from_boxes)):
            prompts = [prompt(clip, obj) for obj in objects]
            tracks = track(lambda: Sam2Tracker(model, "float32"), clip.frames, prompts)
            for obj, logits in zip(objects, tracks, strict=True):
                found += [
                    _iou(clip.mask(frame, obj), logits[frame] > 0)
                    for frame in range(1, NUM_FRAMES)
                    if clip.mask(frame, obj).any()
                ]
    assert np.mean(from_masks) > 0.95
    assert np.mean(from_boxes) > 0.8


def _iou(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    return int((truth & found).sum()) / int((truth | found).sum())
