"""What takes long to read does not hold up the event loop, where the lease is renewed and health answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.single_thread import SingleThread
from sam2_agent.core.answering import Answering
from sam2_agent.core.footage import Footage
from sam2_agent.core.ports import Frames
from sam2_agent.core.recent import Recent
from sam2_agent.core.state import MAX_HEAD
from sam2_agent.errors import RequestRefused
from tests.fuzz.test_bombs import largest_state
from tests.toy_tracker import ToyTracker

T = TypeVar("T")

TASK_OF_THE_STATES = 1


class NoFrames:
    """No frame ever comes: the request is refused before one is needed."""

    async def count(self, task: int, frame: int) -> int:
        raise AssertionError((task, frame))

    def beside(self, task: int, frame: int, way: int) -> int | None:
        raise AssertionError((task, frame, way))

    async def image(self, task: int, frame: int, _read: Callable[[NDArray[np.uint8]], T]) -> T:
        await asyncio.Event().wait()
        raise AssertionError((task, frame))


def answering(compute: SingleThread) -> Answering:
    unused: Any = None
    frames = cast("Frames", NoFrames())
    return Answering(
        tracks=unused,
        footage=Footage(frames, ToyTracker(), compute, Recent()),
        foresight=unused,
        frames=frames,
        store=unused,
        apart=compute,
        events=unused,
        rng=unused,
        fingerprint="toy",
        shape_types=frozenset({"mask"}),
    )


async def test_a_large_request_is_read_apart_from_the_event_loop() -> None:
    """States of 1 MiB; they are of another task, so that nothing else is done with them."""
    text = largest_state()
    assert len(text) > 0.99 * MAX_HEAD
    request: dict[str, Any] = {
        "type": "track",
        "task": TASK_OF_THE_STATES + 1,
        "frame": 1,
        "states": [text] * 12,
    }
    compute, turns = SingleThread("apart"), [time.monotonic()]

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            turns.append(time.monotonic())

    ticking = asyncio.ensure_future(tick())
    with pytest.raises(RequestRefused, match="belongs to another task"):
        await answering(compute).answer("request", request, "token")
    turns.append(time.monotonic())
    ticking.cancel()
    compute.close()
    longest = max(after - before for before, after in pairwise(turns))
    assert longest < (turns[-1] - turns[0]) / 4
