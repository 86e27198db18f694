"""Objects tracked in one batch, as on a GPU, against one by one.

A batch rounds otherwise, and memory in bfloat16 amplifies that: a logit may differ by `TOLERANCE`, and a
mask's pixel only where its logit is that close to 0.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory
from tests.fidelity.clips import Clip, write_clip
from tests.fidelity.tracks import Logits, context, mask_prompt, store, track
from tests.tiny_sam2.synthetic_video import DIFFICULTIES, Difficulty

TOLERANCE = 1e-2


@pytest.mark.parametrize(("num_objects", "num_frames"), [(1, 8), (3, 24), (8, 20)])
def test_a_batch_gives_what_single_objects_give(
    model: BuiltModel, tmp_path: Path, num_objects: int, num_frames: int
) -> None:
    clip = write_clip(tmp_path, 2_000_005, _crowd(num_objects), num_frames)
    prompts = [mask_prompt(clip, obj) for obj in range(1, num_objects + 1)]

    batched = track(lambda: Sam2Tracker(model, "float32", batch_size=8), clip.frames, prompts)
    single = track(lambda: Sam2Tracker(model, "float32"), clip.frames, prompts)

    difference = np.abs(np.array(batched) - np.array(single))
    assert difference.max() <= TOLERANCE
    flipped = (np.array(batched) > 0) != (np.array(single) > 0)
    assert np.abs(np.array(single)[flipped]).max(initial=0) <= TOLERANCE


def test_objects_that_began_on_different_frames_are_tracked_in_one_call(
    model: BuiltModel, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path, 2_000_005, _crowd(3), 6)
    tracker = Sam2Tracker(model, "float32", batch_size=8)
    features = [tracker.encode(frame) for frame in clip.frames]
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
    clip = write_clip(tmp_path, 2_000_005, _crowd(5), 2)
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


def _crowd(num_objects: int) -> Difficulty:
    return dataclasses.replace(
        DIFFICULTIES["easy"], targets=(num_objects, num_objects), radius=(0.1, 0.14), contrast=0.3
    )


def _second_frame(tracker: Sam2Tracker, clip: Clip) -> list[Logits]:
    """Logits of every object on the clip's second frame."""
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    outputs = tracker.prompt(tracker.encode(clip.frames[0]), prompts)
    contexts = [context(tracker, [store(tracker, output)], 1, 2) for output in outputs]
    return [tracker.logits(output) for output in tracker.step(tracker.encode(clip.frames[1]), contexts)]
