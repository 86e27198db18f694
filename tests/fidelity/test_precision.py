"""What a precision means, and what bfloat16 costs, on a CPU; `test_gpu.py` tells it of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_device import Precision
from sam2_agent.adapters.sam2_memory import SpatialMemory
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import Context, MaskPrompt
from tests.fidelity.clips import write_clip, write_footage
from tests.fidelity.figures import LEAST_IOU, ious, tracked
from tests.fidelity.tracks import mask_prompt, propagate

BOTH: tuple[Precision, ...] = ("float32", "bfloat16")


@pytest.mark.parametrize("clip", ["synthetic", "real footage"])
def test_bfloat16_finds_the_same_objects(
    model: BuiltModel, tmp_path: Path, clip: Literal["synthetic", "real footage"]
) -> None:
    footage = clip == "real footage"
    written = write_footage(tmp_path, 18) if footage else write_clip(tmp_path, 2_000_000, "easy", 18)

    full, rounded = (tracked(model, precision, written) for precision in BOTH)

    assert min(ious(full, rounded)) >= LEAST_IOU
    assert not np.array_equal(full, rounded)


def test_memory_of_both_precisions_comes_back_bit_for_bit(model: BuiltModel) -> None:
    image = np.random.default_rng(0).integers(0, 60, (90, 120, 3)).astype(np.uint8)
    image[20:60, 30:80] = 220
    mask = np.zeros((90, 120), np.bool_)
    mask[20:60, 30:80] = True
    for precision in BOTH:
        tracker = Sam2Tracker(model, precision)
        features = tracker.encode(tracker.resize(image))
        [first] = tracker.prompt(features, [MaskPrompt(mask)])
        [second] = tracker.step(features, [Context(1, 2, first.remembered, (), "mask")])
        memory = second.remembered.memory
        assert isinstance(memory, SpatialMemory)
        assert torch.equal(tracker.load_memory(tracker.dump_memory(memory)).features, memory.features)
        assert (second.mask & mask).sum() / (second.mask | mask).sum() > 0.9


@pytest.fixture
def tensor_float_32() -> Iterator[Callable[[], tuple[bool, bool]]]:
    """Allowed in this process, as by default in convolutions; tells what is allowed now."""

    def allowed() -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    before = allowed()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    yield allowed
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize(("precision", "expected"), [("float32", (False, False)), ("bfloat16", (True, True))])
def test_float32_is_not_tensor_float_32(
    model: BuiltModel,
    tensor_float_32: Callable[[], tuple[bool, bool]],
    precision: Precision,
    expected: tuple[bool, bool],
) -> None:
    """A switch of PyTorch that only CUDA reads."""
    seen: list[tuple[bool, bool]] = []
    tracker = Sam2Tracker(model, precision)
    hook = model.predictor.image_encoder.register_forward_pre_hook(lambda *_: seen.append(tensor_float_32()))
    try:
        tracker.encode(tracker.resize(np.zeros((8, 8, 3), np.uint8)))
    finally:
        hook.remove()

    assert seen == [expected]
    assert tensor_float_32() == (True, True)


class Casts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often a weight is brought to another type."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0
        self._weight = weight

    def __torch_dispatch__(
        self, function: Any, types: object, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        casts = (torch.ops.aten.to.dtype, torch.ops.aten._to_copy.default)
        self.count += function in casts and args[0] is self._weight
        return function(*args, **kwargs or {})


def test_one_autocast_around_all_frames_casts_weights_as_often(predictor: Any, tmp_path: Path) -> None:
    """SAM2's own loop in one autocast: a weight is cast for every frame, as by an autocast for each call.

    When this fails, PyTorch keeps casts in inference mode: then one autocast around all calls of the model
    may be worth having.
    """
    clip = write_clip(tmp_path, 2_000_000, "easy", 3)
    casts = Casts(predictor.image_encoder.trunk.blocks[0].attn.qkv.weight)

    with torch.autocast("cpu", torch.bfloat16), casts:
        propagate(predictor, clip, [mask_prompt(clip, 1)])

    assert casts.count == 3
