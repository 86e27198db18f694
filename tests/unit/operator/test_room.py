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


async def test_bytes_and_calls_are_bounded() -> None:
    room, go = Room(10, 8, 2), asyncio.Event()
    tasks = [asyncio.create_task(entered(room, "cars", 1, go)) for _ in range(3)]
    await turns()
    assert (room.calls, room.waiting) == (2, 1), "a tracker's calls"
    tasks.append(asyncio.create_task(entered(room, "bikes", 9, go)))
    await turns()
    assert (room.calls, room.waiting) == (2, 2), "bytes"
    go.set()
    await asyncio.gather(*tasks)
    assert (room.calls, room.held, room.waiting) == (0, 0, 0)


async def test_nobody_passes_who_lacks_only_bytes() -> None:
    room, go, order = Room(10, 8, 2), asyncio.Event(), list[str]()

    async def call(tracker: str, length: int, *, ends: bool = False) -> None:
        async with room.taken(tracker, length, PATIENT):
            order.append(f"{tracker} {length}")
            await (turns() if ends else go.wait())

    async with room.taken("cars", 1, PATIENT):
        async with room.taken("cars", 4, PATIENT):
            tasks = [asyncio.create_task(call("cars", 1)), asyncio.create_task(call("bikes", 9))]
            await turns()
            tasks.append(asyncio.create_task(call("bees", 1)))
            await turns()
            assert (order, room.waiting) == ([], 3), "a short call overtook a long one"
        await turns()
        assert order == ["cars 1"], "who waits for its tracker only holds up nobody, and is not held up"
    await turns()
    assert order == ["cars 1", "bikes 9"]
    go.set()
    await asyncio.gather(*tasks)
    assert (order[-1], room.calls, room.held, room.waiting) == ("bees 1", 0, 0, 0)


async def test_answers_count_and_what_was_cut_off_does_not() -> None:
    room = Room(8, 1, 4)
    async with room.taken("cars", 8, PATIENT) as hold:
        hold.begin_answer()
        hold.add(2)
        assert room.held == 10
        hold.begin_answer()
        assert room.held == 8
        with pytest.raises(BusyError):
            hold.add(3)
    assert (room.calls, room.held) == (0, 0)


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
