"""Before a model on a GPU says that it is ready, it has run once; on a CPU that would bring nothing."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from sam2_agent.adapters import sam2_warmup
from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_frames import EncodedFrame
from sam2_agent.adapters.sam2_memory import SpatialMemory
from sam2_agent.adapters.sam2_tracker import Sam2Output, Sam2Tracker
from sam2_agent.core.tracking import Memory
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PARTS = ["image_encoder", "sam_prompt_encoder", "sam_mask_decoder", "memory_encoder", "memory_attention"]


@pytest.fixture
def load(tracker: Sam2Tracker, monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.device], object]:
    """Load the small model, which says that it is on a device."""
    monkeypatch.setattr(sam2_warmup, "load_model", lambda _settings: tracker)

    def load(device: torch.device) -> object:
        monkeypatch.setattr(Sam2Tracker, "device", property(lambda _: device))
        return sam2_warmup.load_warm(None)  # type: ignore[arg-type]

    return load


def test_a_model_on_a_gpu_has_run_all_of_its_parts(
    load: Callable[[torch.device], object],
    model: BuiltModel,
    tracker: Sam2Tracker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dumped: list[Memory] = []
    monkeypatch.setattr(tracker, "dump_memory", dumped.append)

    with _before_every_part(model) as ran:
        assert load(CUDA) is tracker

    assert sorted(set(ran)) == sorted(PARTS)
    assert ran.index("image_encoder") < ran.index("memory_encoder") < ran.index("memory_attention")
    assert [type(memory) for memory in dumped] == [SpatialMemory]


def test_a_model_on_a_cpu_is_ready_as_it_is(
    load: Callable[[torch.device], object], model: BuiltModel, tracker: Sam2Tracker
) -> None:
    with _before_every_part(model) as ran:
        assert load(CPU) is tracker

    assert ran == []


def test_nothing_of_it_is_held(load: Callable[[torch.device], object]) -> None:
    before = _held()

    load(CUDA)

    assert _held() == before


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), DeviceOutOfMemory),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), DeviceLost),
    ],
)
def test_a_device_that_fails_meanwhile_is_told_as_ever(
    load: Callable[[torch.device], object], model: BuiltModel, part: str, failure: Exception, error: Any
) -> None:
    def fail(*_: object) -> None:
        raise failure

    hook = getattr(model.predictor, part).register_forward_pre_hook(fail)
    try:
        with pytest.raises(error):
            load(CUDA)
    finally:
        hook.remove()


@contextmanager
def _before_every_part(model: BuiltModel) -> Iterator[list[str]]:
    """The names of the parts that run, in their order."""
    ran: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda *_: ran.append(name)

    hooks = [getattr(model.predictor, part).register_forward_pre_hook(note(part)) for part in PARTS]
    try:
        yield ran
    finally:
        for hook in hooks:
            hook.remove()


def _held() -> int:
    """How many frames, memories and outputs are alive."""
    return sum(type(each) in (EncodedFrame, SpatialMemory, Sam2Output) for each in gc.get_objects())
