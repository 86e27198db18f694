"""Objects tracked in one batch, as on a GPU, against one by one.

A batch rounds otherwise, and memory in bfloat16 amplifies that: a logit may differ by `TOLERANCE`, and a
mask's pixel only where its logit is that close to 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory
from tests.fidelity.clips import Clip, crowd, write_clip, write_footage
from tests.fidelity.tracks import Logits, context, mask_prompt, store, track

TOLERANCE = 1e-2


@pytest.mark.parametrize(("num_objects", "num_frames"), [(1, 8), (3, 24), (8, 20)])
def test_a_batch_gives_what_single_objects_give(
    model: BuiltModel, tmp_path: Path, num_objects: int, num_frames: int
) -> None:
    clip = write_clip(tmp_path, 2_000_005, crowd(num_objects), num_frames)

    require_close(*_batched_and_single(model, clip))


def test_a_batch_gives_what_single_objects_give_on_real_footage(model: BuiltModel, tmp_path: Path) -> None:
    require_close(*_batched_and_single(model, write_footage(tmp_path, 36)))


def test_the_difference_does_not_grow_with_the_clip(model: BuiltModel, tmp_path: Path) -> None:
    """It rises where a mask is uncertain, and comes down again: what is rounded is soon forgotten."""
    batched, single = _batched_and_single(model, write_clip(tmp_path, 2_000_001, "medium", 64))

    require_close(batched, single)
    difference = np.abs(batched - single).max(axis=(0, 2, 3))
    assert difference.max() > 0
    assert difference[48:].min() <= TOLERANCE / 100
    assert difference[32:].mean() <= 10 * difference[1:32].mean()


def test_objects_that_began_on_different_frames_are_tracked_in_one_call(
    model: BuiltModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path, 2_000_005, crowd(3), 6)
    tracker = Sam2Tracker(model, "float32", batch_size=8)
    features = [tracker.encode(tracker.resize(frame)) for frame in clip.frames]
    contexts = []
    for obj, start in ((1, 4), (2, 3), (3, 4)):
        [output] = tracker.prompt(features[start], [mask_prompt(clip, obj, start)])
        stored = [store(tracker, output)]
        for index in range(1, 5 - start):
            [output] = tracker.step(features[start + index], [context(tracker, stored, index, 6)])
            stored.append(store(tracker, output))
        contexts.append(context(tracker, stored, 5 - start, 6))

    together = tracker.step(features[5], contexts)

    for output, own in zip(together, contexts, strict=True):
        [alone] = tracker.step(features[5], [own])
        assert output.remembered.index == own.index
        assert np.abs(tracker.logits(output) - tracker.logits(alone)).max() <= TOLERANCE


def test_a_batch_that_does_not_fit_the_device_is_tracked_in_smaller_ones(
    model: BuiltModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path, 2_000_005, crowd(5), 2)
    tracker = Sam2Tracker(model, "float32", batch_size=8)
    single = _second_frame(Sam2Tracker(model, "float32"), clip)
    sizes = []

    def refuse_more_than_two(_module: object, _args: object, kwargs: dict[str, torch.Tensor]) -> None:
        sizes.append(kwargs["memory"].size(1))
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = model.predictor.memory_attention.register_forward_pre_hook(refuse_more_than_two, with_kwargs=True)
    try:
        halved = _second_frame(tracker, clip)
    finally:
        hook.remove()

    assert sizes == [5, 2, 3, 1, 2]
    assert np.abs(np.array(halved) - np.array(single)).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), DeviceOutOfMemory),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), DeviceLost),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceLost),
        (RuntimeError("shape mismatch"), RuntimeError),
    ],
)
def test_a_failing_device_is_told_apart_from_a_fault_of_ours(
    model: BuiltModel, tmp_path: Path, failure: Exception, error: type[Exception]
) -> None:
    clip = write_clip(tmp_path, 2_000_005, "easy", 2)

    def fail(*_: object) -> None:
        raise failure

    hook = model.predictor.memory_attention.register_forward_pre_hook(fail)
    try:
        with pytest.raises(error) as raised:
            _second_frame(Sam2Tracker(model, "float32"), clip)
    finally:
        hook.remove()

    assert type(raised.value) is error
    assert (raised.value if error is RuntimeError else raised.value.__cause__) is failure


def require_close(found: Logits, expected: Logits) -> None:
    """Assert that no logit differs by more than `TOLERANCE`, and masks only where it is that close to 0."""
    assert np.abs(found - expected).max() <= TOLERANCE
    flipped = (found > 0) != (expected > 0)
    assert np.abs(expected[flipped]).max(initial=0) <= TOLERANCE


def _batched_and_single(model: BuiltModel, clip: Clip) -> tuple[Logits, Logits]:
    """Logits (objects, frames, height, width) of all objects of a clip, in one batch and one by one."""
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    batched = track(lambda: Sam2Tracker(model, "float32", batch_size=8), clip.frames, prompts)
    single = track(lambda: Sam2Tracker(model, "float32"), clip.frames, prompts)
    return np.array(batched), np.array(single)


def _second_frame(tracker: Sam2Tracker, clip: Clip) -> list[Logits]:
    """Logits of every object on the clip's second frame."""
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    outputs = tracker.prompt(tracker.encode(tracker.resize(clip.frames[0])), prompts)
    contexts = [context(tracker, [store(tracker, output)], 1, 2) for output in outputs]
    return [
        tracker.logits(output)
        for output in tracker.step(tracker.encode(tracker.resize(clip.frames[1])), contexts)
    ]
