"""How much the gateway holds at once."""

from __future__ import annotations

import asyncio

import pytest

from sam2_operator.gateway.errors import BusyError
from sam2_operator.gateway.room import Room

PATIENT = 60.0


async def entered(room: Room, tracker: str, length: int, go: asyncio.Event) -> None:
    async with room.taken(tracker, length, PATIENT):
        await go.wait()


async def turns() -> None:
    """Let everybody go on as far as they come."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_call_is_let_in_however_long() -> None:
    room = Room(10, 1, 1)
    async with room.taken("cars", 1000, PATIENT):
        assert (room.calls, room.held) == (1, 1000)
    assert (room.calls, room.held, room.waiting) == (0, 0, 0)


async def test_bytes_and_calls_are_bounded() -> None:
    room, go = Room(10, 8, 2), asyncio.Event()
    tasks = [asyncio.create_task(entered(room, "cars", 1, go)) for _ in range(3)]
    await turns()
    assert (room.calls, room.waiting) == (2, 1), "a tracker's calls"
    tasks.append(asyncio.create_task(entered(room, "bikes", 9, go)))
    await turns()
    assert (room.calls, room.waiting) == (2, 2), "bytes"
    tasks.append(asyncio.create_task(entered(room, "bees", 8, go)))
    await turns()
    assert (room.calls, room.held) == (3, 10), "what fits does not wait"
    go.set()
    await asyncio.gather(*tasks)
    assert (room.calls, room.held, room.waiting) == (0, 0, 0)


async def test_too_many_that_wait_are_sent_away() -> None:
    room, go = Room(10, 1, 1), asyncio.Event()
    tasks = [asyncio.create_task(entered(room, "cars", 5, go)) for _ in range(2)]
    await turns()
    with pytest.raises(BusyError, match="1 calls with 0 MiB are in hand already; run again in a moment"):
        async with room.taken("cars", 5, PATIENT):
            raise AssertionError
    go.set()
    await asyncio.gather(*tasks)


async def test_who_waits_in_vain_is_sent_away_and_leaves_nothing() -> None:
    room = Room(10, 4, 1)
    async with room.taken("cars", 5, PATIENT):
        with pytest.raises(BusyError):
            async with room.taken("cars", 5, 0.0):
                raise AssertionError
        assert room.waiting == 0
    assert (room.calls, room.held) == (0, 0)


async def test_who_leaves_while_waiting_leaves_nothing() -> None:
    room, go = Room(10, 4, 1), asyncio.Event()
    async with room.taken("cars", 5, PATIENT):
        waiting = asyncio.create_task(entered(room, "cars", 5, go))
        await turns()
        assert room.waiting == 1
        waiting.cancel()
        await turns()
        assert room.waiting == 0
    assert (room.calls, room.held) == (0, 0)
