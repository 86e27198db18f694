"""The simulation's ground: time that jumps, processes that can be paused and killed."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.loop import Spins, VirtualLoop
from tests.simulation.processes import Process


async def count(loop: VirtualLoop, moments: list[float], times: int = 10) -> None:
    """Note the time once a second; what ends it is noted too."""
    try:
        for _ in range(times):
            await asyncio.sleep(1.0)
            moments.append(loop.time())
    finally:
        moments.append(-1.0)


def test_time_jumps_to_the_next_timer() -> None:
    loop = VirtualLoop()
    moments: list[float] = []
    task = loop.start(count(loop, moments, times=1000))
    loop.run(task.done, until=1e9)
    assert moments == [*range(1, 1001), -1]


def test_a_killed_process_does_nothing_more_and_runs_no_finally() -> None:
    loop, process = VirtualLoop(), Process("victim")
    killed: list[float] = []
    other: list[float] = []
    loop.start(count(loop, killed), process)
    task = loop.start(count(loop, other), Process("other"))
    loop.outside(3.5, process.kill)
    loop.run(task.done, until=100)
    assert killed == [1, 2, 3]
    assert other == [*range(1, 11), -1]
    loop.close()
    assert killed == [1, 2, 3, -1]  # only when the run is over and nothing counts any more
    assert not loop.tasks


def test_what_a_killed_process_started_is_killed_with_it() -> None:
    loop, process = VirtualLoop(), Process("victim")
    moments: list[float] = []

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(count(loop, moments))
            apart = asyncio.ensure_future(count(loop, moments))
            await asyncio.wait({apart})

    loop.start(parent(), process)
    loop.outside(1.5, process.kill)
    with pytest.raises(Spins):
        loop.run(lambda: False, until=50)
    assert moments == [1, 1]
    loop.close()


def test_a_paused_process_goes_on_where_it_stood_while_time_passed() -> None:
    loop, process = VirtualLoop(), Process("sleeper")
    moments: list[float] = []
    task = loop.start(count(loop, moments, times=3), process)
    loop.outside(1.5, process.pause)
    loop.outside(20.0, loop.thaw, process)
    loop.run(task.done, until=100)
    assert moments == [1, 20, 21, -1]


def test_a_reply_that_came_during_the_pause_is_there_afterwards() -> None:
    loop, process = VirtualLoop(), Process("sleeper")
    reply = loop.create_future()
    got: list[tuple[float, str]] = []

    async def wait() -> None:
        got.append((loop.time(), await reply) if not got else (0, ""))

    task = loop.start(wait(), process)
    loop.outside(1.0, process.pause)
    loop.outside(2.0, reply.set_result, "hello")
    loop.outside(9.0, loop.thaw, process)
    loop.run(task.done, until=100)
    assert loop.time() == 9.0
    assert [text for _, text in got] == ["hello"]


def test_everybody_waiting_for_ever_is_noticed() -> None:
    loop = VirtualLoop()

    async def wait() -> None:
        await loop.create_future()

    task = loop.start(wait())
    with pytest.raises(Spins, match="waits for ever"):
        loop.run(task.done, until=100)
    loop.close()


def test_spinning_is_noticed() -> None:
    loop = VirtualLoop()

    def spin() -> None:
        loop.outside(0.0, spin)

    spin()
    with pytest.raises(Spins, match="spins"):
        loop.run(lambda: False, until=100)
