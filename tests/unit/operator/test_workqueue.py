"""Which key a worker gets next, in virtual time."""

from __future__ import annotations

import asyncio

from sam2_operator.workqueue import Workqueue
from tests.unit.operator.virtual_time import play


def test_a_key_added_many_times_is_handed_out_once() -> None:
    async def story() -> list[str | None]:
        queue: Workqueue[str] = Workqueue()
        for _ in range(3):
            queue.add("cars")
        queue.add("bikes")
        return [await queue.get(), await queue.get()]

    assert play(story()) == ["cars", "bikes"]


def test_a_key_that_is_worked_on_is_handed_out_again_only_when_that_is_done() -> None:
    async def story() -> list[str | None]:
        queue: Workqueue[str] = Workqueue()
        queue.add("cars")
        assert await queue.get() == "cars"
        queue.add("cars")
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(10)
        assert not waiting.done()
        queue.done("cars")
        again = await waiting
        queue.done("cars")
        rest = asyncio.create_task(queue.get())
        await asyncio.sleep(10)
        assert not rest.done()
        queue.close()
        return [again, await rest]

    assert play(story()) == ["cars", None]


def test_of_several_times_the_earliest_counts() -> None:
    async def story() -> list[float]:
        queue: Workqueue[str] = Workqueue()
        for seconds in (60, 5, 30):
            queue.add_after("cars", seconds)
        assert await queue.get() == "cars"
        first = asyncio.get_running_loop().time()
        queue.done("cars")
        queue.add_after("cars", 7)
        await queue.get()
        return [first, asyncio.get_running_loop().time()]

    first, second = play(story())
    assert 5 <= first < 5.1
    assert 12 <= second < 12.2


def test_a_closed_queue_lets_all_workers_go() -> None:
    async def story() -> list[str | None]:
        queue: Workqueue[str] = Workqueue()
        workers = [asyncio.create_task(queue.get()) for _ in range(3)]
        await asyncio.sleep(1)
        queue.close()
        queue.add("cars")
        return list(await asyncio.gather(*workers))

    assert play(story()) == [None] * 3
