"""When trackers are reconciled: one at a time each, woken or by the interval, and never given up."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sam2_operator.driver import Driver, Pace
from sam2_operator.errors import ConflictError, KubernetesError
from sam2_operator.reconcile import Outcome
from tests.unit.operator.build import pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

READY = Outcome(exists=True, ready=True, pod=pod())
WAITING = Outcome(exists=True)
GONE = Outcome(exists=False)
NEVER = 3600.0


@asynccontextmanager
async def driving(
    reconcile: Callable[[str, str], Outcome], **changes: Any
) -> AsyncIterator[tuple[Driver, Counter[str]]]:
    results: Counter[str] = Counter()
    with ThreadPoolExecutor(4) as executor:
        driver = Driver(
            reconcile=reconcile,
            serves=changes.get("serves", lambda _: True),
            names=changes.get("names", list),
            observe=lambda result, _: results.update([result]),
            executor=executor,
            pace=changes.get("pace", Pace(interval=NEVER, agent_interval=NEVER)),
            random=random.Random(1),
        )
        try:
            yield driver, results
        finally:
            await driver.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0.01)


async def test_never_two_reconciles_of_one_tracker_at_once() -> None:
    running, most, count = 0, 0, 0
    guard, burst_is_over = threading.Lock(), threading.Event()

    def reconcile(namespace: str, name: str) -> Outcome:
        nonlocal running, most, count
        with guard:
            running += 1
            most, count = max(most, running), count + 1
        assert burst_is_over.wait(10)
        with guard:
            running -= 1
        return WAITING

    async with driving(reconcile) as (driver, _):
        driver.wake("lab", "cars")
        await until(lambda: count == 1)
        for _ in range(100):
            driver.wake("lab", "cars")
            await asyncio.sleep(0)  # the driver may act on it
        burst_is_over.set()
        await until(lambda: count >= 2)
    assert most == 1


async def test_the_interval_needs_no_notification() -> None:
    count = Counter[str]()
    pace = Pace(interval=NEVER, agent_interval=0.02)

    def reconcile(namespace: str, name: str) -> Outcome:
        count.update([name])
        return WAITING

    async with driving(reconcile, pace=pace) as (driver, _):
        driver.wake("lab", "cars")
        await until(lambda: count["cars"] >= 3)


async def test_errors_are_tried_again_and_others_go_on() -> None:
    failures = iter([KubernetesError("away"), ConflictError("changed"), ValueError("a bug")])

    def reconcile(namespace: str, name: str) -> Outcome:
        if name == "bikes":
            return WAITING
        for failure in failures:
            raise failure
        return READY

    pace = Pace(interval=0.05, agent_interval=NEVER)
    async with driving(reconcile, pace=pace) as (driver, results):
        driver.wake("lab", "cars")
        driver.wake("lab", "bikes")
        await until(lambda: driver.counts() == (2, 1))
    assert results["error"] == 2
    assert results["conflict"] == 1


async def test_a_tracker_that_is_gone_is_forgotten_and_may_come_back() -> None:
    outcome = GONE
    async with driving(lambda *_: outcome) as (driver, results):
        driver.wake("lab", "cars")
        await until(lambda: driver.counts() == (0, 0) and results["done"] > 0)
        outcome = READY
        driver.wake("lab", "cars")
        await until(lambda: driver.counts() == (1, 1))


async def test_the_sweep_finds_what_nobody_told_of() -> None:
    found = Counter[str]()

    def reconcile(namespace: str, name: str) -> Outcome:
        found.update([name])
        return WAITING

    async with driving(reconcile, names=lambda: [("lab", "cars")]) as (driver, _):
        sweep = asyncio.create_task(driver.sweep())
        await until(lambda: found["cars"] == 1 and driver.swept)
        sweep.cancel()


async def test_a_reconcile_that_hangs_shows_in_liveness() -> None:
    free = threading.Event()

    def reconcile(namespace: str, name: str) -> Outcome:
        free.wait(10)
        return WAITING

    pace = Pace(interval=NEVER, agent_interval=NEVER, stuck=0.05)
    async with driving(reconcile, pace=pace) as (driver, _):
        driver.wake("lab", "cars")
        assert driver.overdue() is None
        await until(lambda: driver.overdue() == "lab/cars")
        free.set()
        await until(lambda: driver.overdue() is None)
