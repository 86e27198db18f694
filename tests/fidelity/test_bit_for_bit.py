"""One object at a time on a CPU, every logit is the one that `SAM2VideoPredictor.propagate_in_video` gives.

Between any two frames everything is written to bytes and read by a new tracker.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sam2.build_sam import build_sam2_video_predictor

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_frames import normalize
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import Prompt
from tests.fidelity.clips import write_clip
from tests.fidelity.tracks import box_prompt, mask_prompt, propagate, same_bits, track
from tests.tiny_sam2.model import CONFIG, WEIGHTS
from tests.tiny_sam2.synthetic_video import DIFFICULTIES

SIZES = {8: (240, 180), 20: (150, 240), 40: (192, 108)}


@pytest.mark.parametrize("num_frames", [8, 20, 40])
@pytest.mark.parametrize("prompt", [mask_prompt, box_prompt])
def test_tracks_have_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, num_frames: int, prompt: Any
) -> None:
    clip = write_clip(tmp_path, 2_000_001, "medium", num_frames, SIZES[num_frames])
    prompts = [prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    assert len(prompts) == 2

    ours = track(lambda: Sam2Tracker(model, "float32"), clip.frames, prompts)

    for logits, given in zip(ours, prompts, strict=True):
        assert same_bits(logits, propagate(predictor, clip, given))


@pytest.mark.parametrize(("num_frames", "start"), [(8, 3), (20, 14)])
def test_a_track_that_begins_later_has_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, num_frames: int, start: int
) -> None:
    clip = write_clip(tmp_path, 2_000_002, "easy", num_frames)
    prompt = mask_prompt(clip, 1, start)

    [ours] = track(
        lambda: Sam2Tracker(model, "float32"), clip.frames[start:], [prompt], window=min(16, num_frames)
    )

    assert same_bits(ours, propagate(predictor, clip, prompt, start))


def test_a_model_built_anew_for_every_frame_has_the_bits_of_sam2(predictor: Any, tmp_path: Path) -> None:
    clip = write_clip(tmp_path, 2_000_003, "hard", 8)

    def new_agent() -> Sam2Tracker:
        return Sam2Tracker(build(VolumeModel(CONFIG, WEIGHTS), torch.device("cpu")), "float32")

    [ours] = track(new_agent, clip.frames, [mask_prompt(clip, 1)])

    assert same_bits(ours, propagate(predictor, clip, mask_prompt(clip, 1)))


def test_autocast_has_the_bits_of_sam2_under_autocast(
    predictor: Any, model: BuiltModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path, 2_000_001, "medium", 10)
    prompts: list[Prompt] = [mask_prompt(clip, 1), box_prompt(clip, 2)]

    ours = track(lambda: Sam2Tracker(model, "bfloat16"), clip.frames, prompts)

    with torch.autocast("cpu", torch.bfloat16):
        theirs = [propagate(predictor, clip, prompt) for prompt in prompts]
    assert all(map(same_bits, ours, theirs))


def test_an_object_that_leaves_and_returns_is_lost_and_found_as_by_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path
) -> None:
    level = dataclasses.replace(DIFFICULTIES["easy"], targets=(1, 1), distractors=(0, 0), leave=1.0)
    clip = write_clip(tmp_path, 2_000_106, level, 50)
    shows = [bool(clip.mask(frame, 1).any()) for frame in range(50)]
    gone, back = shows.index(False), 49 - shows[::-1].index(False) + 1
    assert 0 < gone < back < 48

    [ours] = track(lambda: Sam2Tracker(model, "float32"), clip.frames, [mask_prompt(clip, 1)])

    found = [bool((logits > 0).any()) for logits in ours]
    assert not all(found[gone:back])
    assert found[-1]
    assert same_bits(ours, propagate(predictor, clip, mask_prompt(clip, 1)))


@pytest.mark.parametrize("size", [(240, 180), (64, 64), (33, 201), (1280, 720)])
def test_frames_are_prepared_as_sam2_prepares_them(
    predictor: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path, 5, "medium", 2, size)
    images = predictor.init_state(str(tmp_path))["images"]

    prepared = [normalize(frame, predictor.image_size, torch.device("cpu"))[0] for frame in clip.frames]

    assert all(map(torch.equal, prepared, images))
    assert {image.stride() for image in prepared} == {images[0].stride()}  # the layout picks the kernels


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_size_model_has_the_bits_of_sam2(tmp_path: Path) -> None:
    """sam2.1-hiera-tiny at 1024 pixels with random weights: the architecture that users run."""
    torch.manual_seed(0)
    predictor = build_sam2_video_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu")
    predictor.fill_hole_area = 0
    clip = write_clip(tmp_path, 2_000_004, "easy", 4, (320, 200))
    model = BuiltModel(predictor, "random")

    [ours] = track(lambda: Sam2Tracker(model, "float32"), clip.frames, [mask_prompt(clip, 1)])

    assert len({logits.tobytes() for logits in ours}) == 4
    assert all(np.isfinite(logits).all() for logits in ours)
    assert same_bits(ours, propagate(predictor, clip, mask_prompt(clip, 1)))
