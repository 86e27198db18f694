"""Memories are written behind the answers; those that are not are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import pytest

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.core.behind import WAITING_AT_MOST, Aftermath, WriteBehind
from sam2_agent.core.ports import Store
from sam2_agent.core.status import Status
from sam2_agent.errors import StoreUnavailable
from tests.toy_tracker import ToyMemory, ToyTracker

P = ParamSpec("P")
T = TypeVar("T")


class StoreAway:
    """A store that takes no memory."""

    async def remember(self, *_: object) -> None:
        raise StoreUnavailable("Away.", reason="RedisUnreachable")


async def compute(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


class StoreThatComesBack:
    """A store that is away once, and then notes what it was to remove."""

    def __init__(self) -> None:
        self.away = True
        self.gone: list[str] = []

    async def remember(self, _memories: object, _used: object, gone: list[str]) -> None:
        if self.away:
            self.away = False
            raise StoreUnavailable("Away.", reason="RedisUnreachable")
        self.gone += gone


def aftermath(objects: int, *gone: str, tracks: str = "some") -> Aftermath:
    memories = [(f"step {number}", ToyMemory(bytes(32))) for number in range(objects)]
    return Aftermath(tracks, memories, [], gone)


def behind(store: object = None) -> tuple[WriteBehind, Callable[[], float | None]]:
    metrics = Metrics(Status("test", BootClock()))
    written_behind = WriteBehind(cast("Store", store or StoreAway()), ToyTracker(), compute, metrics)
    return written_behind, lambda: metrics.registry.get_sample_value("sam2_agent_memories_dropped_total")


async def test_every_memory_that_has_to_make_room_is_counted() -> None:
    written_behind, dropped = behind()
    await written_behind.after(aftermath(3), more=False)
    assert dropped() == 0
    await written_behind.after(aftermath(2), more=False)
    assert dropped() == 3


async def test_no_annotators_memories_make_room_for_those_of_another() -> None:
    written_behind, dropped = behind()
    for number in range(8):
        await written_behind.after(aftermath(3, tracks=f"annotator {number}"), more=False)
    assert dropped() == 0


async def test_not_more_waits_than_fits() -> None:
    written_behind, dropped = behind()
    for number in range(WAITING_AT_MOST + 1):
        await written_behind.after(aftermath(3, tracks=f"annotator {number}"), more=False)
    assert dropped() == 3


async def test_every_memory_that_redis_does_not_take_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    written_behind, dropped = behind()
    await written_behind.after(aftermath(3), more=False)
    async with asyncio.timeout(10):
        running = asyncio.ensure_future(written_behind.run())
        await written_behind.flushed()
        running.cancel()
    assert dropped() == 3
    assert "Memories were not written: Away." in caplog.text


async def test_what_was_to_go_goes_with_the_next_that_is_written() -> None:
    store = StoreThatComesBack()
    written_behind, _ = behind(store)
    async with asyncio.timeout(10):
        await written_behind.after(aftermath(1, "dropped"), more=False)
        await written_behind.after(aftermath(1, "failed"), more=False)
        running = asyncio.ensure_future(written_behind.run())
        await written_behind.flushed()
        await written_behind.after(aftermath(1, "written"), more=False)
        await written_behind.flushed()
        running.cancel()
    assert store.gone == ["dropped", "failed", "written"]
