"""A full device gets room once by giving back what is only kept for speed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numpy as np
import pytest

from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.second_chance import SecondChance
from sam2_agent.errors import DeviceOutOfMemory
from tests.toy_tracker import ToyFeatures, ToyMemory

P = ParamSpec("P")
T = TypeVar("T")


async def compute(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


@pytest.fixture
def recent() -> Recent:
    recent = Recent()
    recent.memories.put("step", ToyMemory(b"memory"))
    recent.features.put((1, 2), ToyFeatures((4, 4), b"frame"))
    recent.pointers.put("step", Pointer(np.zeros(8, dtype=np.float32), 0.0))
    return recent


def on_device(recent: Recent) -> int:
    return sum(kept is not None for kept in (recent.memories.get("step"), recent.features.get((1, 2))))


async def test_work_that_fits_costs_nothing(recent: Recent) -> None:
    assert await SecondChance(compute, recent)(lambda: "done") == "done"
    assert on_device(recent) == 2


async def test_what_is_kept_for_speed_makes_room(recent: Recent) -> None:
    def work() -> str:
        if on_device(recent):
            raise DeviceOutOfMemory("The memory is full.")
        return "done"

    assert await SecondChance(compute, recent)(work) == "done"
    assert recent.pointers.get("step") is not None, "it is not on the device"


async def test_work_that_never_fits_is_given_up(recent: Recent) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise DeviceOutOfMemory("The memory is full.")

    with pytest.raises(DeviceOutOfMemory):
        await SecondChance(compute, recent)(work)
    assert len(calls) == 2
