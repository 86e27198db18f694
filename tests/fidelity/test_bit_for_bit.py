"""One object at a time on a CPU, every logit is the one that `SAM2VideoPredictor.propagate_in_video` gives.

Between any two frames everything is written to bytes and read by a new tracker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sam2.build_sam import build_sam2_video_predictor

from sam2_agent.adapters.resizing import resize
from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_frames import normalize
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import Prompt
from tests.fidelity.clips import Clip, crowd, write_clip, write_footage
from tests.fidelity.test_batches import require_close
from tests.fidelity.tracks import Logits, box_prompt, mask_prompt, propagate, same_bits, track
from tests.tiny_sam2.model import CONFIG, WEIGHTS
from tests.tiny_sam2.synthetic_video import DIFFICULTIES

SIZES = {8: (240, 180), 20: (150, 240), 40: (192, 108)}


@pytest.mark.parametrize("num_frames", [8, 20, 40])
def test_tracks_have_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, num_frames: int
) -> None:
    """Shorter than SAM2's window of 16 frames, longer than one, longer than two."""
    clip = write_clip(tmp_path, 2_000_001, "medium", num_frames, SIZES[num_frames])
    assert clip.num_objects == 2
    prompts = [draw(clip, obj) for draw in (mask_prompt, box_prompt) for obj in (1, 2)]

    _require_same_bits(predictor, model, clip, prompts)


@pytest.mark.parametrize("num_objects", [1, 3, 8])
def test_each_object_of_a_request_has_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, num_objects: int
) -> None:
    clip = write_clip(tmp_path, 2_000_005, crowd(num_objects), 18)
    prompts = [(box_prompt if obj % 3 == 0 else mask_prompt)(clip, obj) for obj in range(1, num_objects + 1)]

    _require_same_bits(predictor, model, clip, prompts)


@pytest.mark.parametrize(
    "size", [(333, 77), (61, 211), (159, 161), (160, 160), (40, 40), (24, 300), (3840, 2160)]
)
def test_frames_of_any_shape_have_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Wide, tall, odd, as large as the model's own and as its low resolution, very narrow, 4K."""
    width, height = size
    clip = write_clip(tmp_path, 2_000_003, "easy", 3 if width < 1000 else 2, size)

    ours = _require_same_bits(predictor, model, clip, [mask_prompt(clip, 1), box_prompt(clip, 1)])

    assert {logits.shape for each in ours for logits in each} == {(height, width)}


def test_real_footage_has_the_bits_of_sam2(predictor: Any, model: BuiltModel, tmp_path: Path) -> None:
    clip = write_footage(tmp_path, 40)

    ours = _require_same_bits(
        predictor, model, clip, [mask_prompt(clip, 1), box_prompt(clip, 2), mask_prompt(clip, 3)]
    )

    face = [logits > 0 for logits in ours[0]]
    assert len({mask.tobytes() for mask in face}) > 30  # he moves, and is followed
    assert all(0.5 < mask.sum() / clip.mask(0, 1).sum() < 2.5 for mask in face)


@pytest.mark.parametrize(("num_frames", "start"), [(8, 3), (20, 14), (44, 9)])
def test_a_track_that_begins_later_has_the_bits_of_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path, num_frames: int, start: int
) -> None:
    clip = write_clip(tmp_path, 2_000_002, "easy", num_frames)
    prompts: list[Prompt] = [mask_prompt(clip, 1, start), box_prompt(clip, 1, start)]

    _require_same_bits(predictor, model, clip, prompts, start)


def test_a_model_built_anew_for_every_frame_has_the_bits_of_sam2(predictor: Any, tmp_path: Path) -> None:
    clip = write_clip(tmp_path, 2_000_003, "hard", 8)

    def new_agent() -> Sam2Tracker:
        return Sam2Tracker(build(VolumeModel(CONFIG, WEIGHTS), torch.device("cpu")), "float32")

    [ours] = track(new_agent, clip.frames, [mask_prompt(clip, 1)])

    [theirs] = propagate(predictor, clip, [mask_prompt(clip, 1)])
    assert same_bits(ours, theirs)


def test_sam2_tracks_the_objects_of_one_state_as_if_each_were_alone(predictor: Any, tmp_path: Path) -> None:
    """What makes the reference for several objects one for each of them."""
    clip = write_clip(tmp_path, 2_000_005, crowd(3), 10)
    prompts: list[Prompt] = [mask_prompt(clip, 1), box_prompt(clip, 2), mask_prompt(clip, 3)]

    alone = [propagate(predictor, clip, [prompt])[0] for prompt in prompts]

    assert all(map(same_bits, propagate(predictor, clip, prompts), alone))


def test_autocast_has_the_bits_of_sam2_under_autocast(
    predictor: Any, model: BuiltModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path, 2_000_001, "medium", 10)
    prompts: list[Prompt] = [mask_prompt(clip, 1), box_prompt(clip, 2)]

    ours = track(lambda: Sam2Tracker(model, "bfloat16"), clip.frames, prompts)

    with torch.autocast("cpu", torch.bfloat16):
        theirs = propagate(predictor, clip, prompts)
    assert all(map(same_bits, ours, theirs))


def test_an_object_that_leaves_and_returns_is_lost_and_found_as_by_sam2(
    predictor: Any, model: BuiltModel, tmp_path: Path
) -> None:
    level = dataclasses.replace(DIFFICULTIES["easy"], targets=(1, 1), distractors=(0, 0), leave=1.0)
    clip = write_clip(tmp_path, 2_000_106, level, 50)
    shows = [bool(clip.mask(frame, 1).any()) for frame in range(50)]
    gone, back = shows.index(False), 49 - shows[::-1].index(False) + 1
    assert 0 < gone < back < 48

    [ours] = _require_same_bits(predictor, model, clip, [mask_prompt(clip, 1)])

    found = [bool((logits > 0).any()) for logits in ours]
    assert not all(found[gone:back])
    assert found[-1]


@pytest.mark.parametrize("size", [(240, 180), (64, 64), (33, 201), (1280, 720)])
def test_frames_are_prepared_as_sam2_prepares_them(
    predictor: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    clip = write_clip(tmp_path, 5, "medium", 2, size)
    images = predictor.init_state(str(tmp_path))["images"]

    prepared = [
        normalize(resize(frame, predictor.image_size), torch.device("cpu"))[0] for frame in clip.frames
    ]

    assert all(map(torch.equal, prepared, images))
    assert {image.stride() for image in prepared} == {images[0].stride()}  # the layout picks the kernels


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_full_size_model_has_the_bits_of_sam2(tmp_path: Path) -> None:
    """sam2.1-hiera-tiny at 1024 pixels with random weights: the architecture that users run."""
    torch.manual_seed(0)
    predictor = build_sam2_video_predictor("configs/sam2.1/sam2.1_hiera_t.yaml", None, device="cpu")
    predictor.fill_hole_area = 0
    clip = write_clip(tmp_path, 2_000_004, crowd(3), 3, (320, 200))
    model = BuiltModel(predictor, "random")
    prompts: list[Prompt] = [mask_prompt(clip, 1), box_prompt(clip, 2), mask_prompt(clip, 3)]

    ours = _require_same_bits(predictor, model, clip, prompts)
    batched = track(lambda: Sam2Tracker(model, "float32", batch_size=8), clip.frames[:2], prompts, window=3)

    assert len({logits.tobytes() for each in ours for logits in each}) == 9
    assert np.isfinite(ours).all()
    require_close(np.array(batched), np.array(ours)[:, :2])


def _require_same_bits(
    predictor: Any, model: BuiltModel, clip: Clip, prompts: Sequence[Prompt], start: int = 0
) -> list[list[Logits]]:
    """Track objects from frame `start` on, with a new agent for every frame; return the logits."""
    window = min(16, len(clip.frames))
    ours = track(lambda: Sam2Tracker(model, "float32"), clip.frames[start:], prompts, window)
    theirs = propagate(predictor, clip, prompts, start)
    assert len(ours) == len(theirs) == len(prompts)
    for place, (here, there) in enumerate(zip(ours, theirs, strict=True)):
        assert same_bits(here, there), f"object {place}"
    return ours
