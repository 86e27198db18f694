"""The agent's models on a CUDA device: `pytest -m gpu` where there is one.

The reference is SAM2's own predictor on the same device, and the tracker on the CPU.  Kernels differ, so
bits do: in float32 a logit may differ as much as in a batch on the CPU; in bfloat16, of three decimal
digits, masks have to be the same objects.  The figures for `docs/fidelity.md` are printed by
`python -m tests.fidelity.figures batches precisions --device cuda`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_device import choose_precision, open_device
from sam2_agent.adapters.sam2_tracker import GPU_BATCH, Sam2Tracker
from tests.fidelity.clips import Clip, crowd, write_clip, write_footage
from tests.fidelity.figures import LEAST_IOU, ious, tracked
from tests.fidelity.test_batches import require_close
from tests.fidelity.tracks import context, mask_prompt, propagate, store
from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.model import build_predictor

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def gpu_model() -> BuiltModel:
    return build(VolumeModel(CONFIG, WEIGHTS), open_device("cuda"))


@pytest.fixture(scope="module")
def gpu_predictor() -> Any:
    """SAM2's own predictor on the GPU."""
    return build_predictor().to("cuda")


@pytest.fixture(params=["shorter than the window", "longer than two windows", "real footage"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Clip:
    match request.param:
        case "shorter than the window":
            return write_clip(tmp_path, 2_000_000, "easy", 8, (333, 77))
        case "longer than two windows":
            return write_clip(tmp_path, 2_000_005, crowd(8), 40)
        case _:
            return write_footage(tmp_path, 24)


def test_float32_gives_the_cpus_logits(model: BuiltModel, gpu_model: BuiltModel, clip: Clip) -> None:
    require_close(tracked(gpu_model, "float32", clip), tracked(model, "float32", clip))


def test_a_batch_gives_what_single_objects_give(gpu_model: BuiltModel, clip: Clip) -> None:
    require_close(tracked(gpu_model, "float32", clip), tracked(gpu_model, "float32", clip, batch_size=1))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_single_objects_are_those_of_sam2_on_the_same_device(
    gpu_model: BuiltModel, gpu_predictor: Any, clip: Clip, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", precision == "bfloat16")
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bfloat16"):
        theirs = np.array(propagate(gpu_predictor, clip, prompts))

    ours = tracked(gpu_model, precision, clip, batch_size=1)

    if precision == "float32":
        require_close(ours, theirs)
    assert min(ious(ours, theirs)) >= LEAST_IOU


def test_bfloat16_finds_the_same_objects(model: BuiltModel, gpu_model: BuiltModel, clip: Clip) -> None:
    assert choose_precision("auto", torch.device("cuda")) == "bfloat16"

    full, rounded = tracked(model, "float32", clip), tracked(gpu_model, "bfloat16", clip)

    assert min(ious(full, rounded)) >= LEAST_IOU


def test_as_many_objects_as_cvat_sends_are_tracked_at_once(gpu_model: BuiltModel, tmp_path: Path) -> None:
    clip = write_clip(tmp_path, 2_000_005, crowd(8), 3)
    tracker = Sam2Tracker(gpu_model, "bfloat16")
    sizes: list[int] = []

    def note(_module: object, _args: object, kwargs: dict[str, torch.Tensor]) -> None:
        sizes.append(kwargs["memory"].size(1))

    outputs = tracker.prompt(
        tracker.encode(tracker.resize(clip.frames[0])),
        [mask_prompt(clip, 1 + place % 8) for place in range(GPU_BATCH)],
    )
    contexts = [context(tracker, [store(tracker, output)], 1, 3) for output in outputs]
    hook = gpu_model.predictor.memory_attention.register_forward_pre_hook(note, with_kwargs=True)
    try:
        found = tracker.step(tracker.encode(tracker.resize(clip.frames[1])), contexts)
    finally:
        hook.remove()

    assert sizes == [GPU_BATCH]
    masks = np.array([output.mask for output in found])
    assert min(ious(masks[:8], masks[-8:])) >= LEAST_IOU
