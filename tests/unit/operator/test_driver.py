"""When trackers are reconciled: one at a time each, woken or by the interval, and never given up."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.core.outcome import Outcome
from sam2_operator.driver import Driver
from sam2_operator.errors import ConflictError, KubernetesError
from sam2_operator.pace import Pace
from tests.unit.operator.build import pod

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sam2_operator.core.observed import Pod

READY = Outcome(exists=True, ready=True, pod=pod())
WAITING = Outcome(exists=True)
GONE = Outcome(exists=False)
NEVER = 3600.0
PATIENCE = 2.0
"""Longer than a busy machine lets a process wait for its turn."""


@asynccontextmanager
async def driving(
    reconcile: Callable[[str, str], Outcome], **changes: Any
) -> AsyncIterator[tuple[Driver, Counter[str]]]:
    results: Counter[str] = Counter()
    with ThreadPoolExecutor(5) as executor:
        driver = Driver(
            reconcile=reconcile,
            serves=changes.get("serves", lambda _: True),
            scopes=changes.get("scopes", [list]),
            observe=lambda result, _: results.update([result]),
            executor=executor,
            workers=4,
            pace=changes.get("pace", Pace(interval=NEVER, agent_interval=NEVER)),
            random=random.Random(1),
        )
        running = asyncio.create_task(driver.run())
        try:
            yield driver, results
        finally:
            driver.stop()
            await asyncio.wait_for(running, 10)


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

    async with driving(reconcile, scopes=[lambda: [("lab", "cars")]]) as (driver, _):
        await until(lambda: found["cars"] == 1 and driver.problem is None)


async def test_a_mistake_while_listing_does_not_end_the_listing() -> None:
    mistakes = iter([ValueError("a bug"), KeyError("another")])

    def listing() -> list[tuple[str, str]]:
        for mistake in mistakes:
            raise mistake
        return []

    pace = Pace(interval=NEVER, agent_interval=0.01)
    async with driving(lambda *_: WAITING, scopes=[listing], pace=pace) as (driver, _):
        await until(lambda: driver.problem is None)


async def test_agents_of_the_same_name_in_two_namespaces_are_asked_at_once() -> None:
    together = threading.Barrier(2, timeout=10)
    asked = Counter[str]()

    def serves(_: Pod) -> bool:
        if asked["pairs"] < 6:
            together.wait()
            asked.update(["pairs"])
        return True

    pace = Pace(interval=NEVER, agent_interval=0.05)
    async with driving(lambda *_: READY, serves=serves, pace=pace) as (driver, results):
        driver.wake("lab", "cars")
        driver.wake("plant", "cars")
        await until(lambda: asked["pairs"] >= 6)
        assert driver.stuck() is None
    assert results == {"done": 2}


async def test_a_namespace_that_cannot_be_listed_is_told_and_hides_no_other() -> None:
    found = Counter[str]()

    def forbidden() -> list[tuple[str, str]]:
        raise KubernetesError("plant: no right to list")

    def reconcile(namespace: str, name: str) -> Outcome:
        found.update([namespace])
        return WAITING

    async with driving(reconcile, scopes=[forbidden, lambda: [("lab", "cars")]]) as (driver, _):
        await until(lambda: found["lab"] == 1 and driver.problem is not None and "plant" in driver.problem)


async def test_what_runs_is_finished_and_nothing_new_begins_when_it_stops() -> None:
    began, free, ended = threading.Event(), threading.Event(), Counter[str]()

    def reconcile(namespace: str, name: str) -> Outcome:
        began.set()
        assert free.wait(10)
        ended.update([name])
        return WAITING

    async with driving(reconcile) as (driver, _):
        driver.wake("lab", "cars")
        await until(began.is_set)
        driver.wake("lab", "cars")
        driver.stop()
        driver.wake("lab", "bikes")
        free.set()
    assert ended == {"cars": 1}


async def test_a_lasting_failure_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tries = Counter[str]()

    def reconcile(namespace: str, name: str) -> Outcome:
        tries.update([name])
        if tries[name] < 5:
            raise KubernetesError("The API server did not answer.")
        return READY

    with caplog.at_level("INFO"):
        async with driving(reconcile, pace=Pace(interval=0.01, agent_interval=NEVER)) as (driver, _):
            driver.wake("lab", "cars")
            await until(lambda: driver.counts() == (1, 1))
    told = [record.message for record in caplog.records if record.message.startswith("lab/cars")]
    assert told == ["lab/cars: The API server did not answer.", "lab/cars: it can be reconciled again"]


async def test_a_reconcile_that_hangs_shows_in_liveness() -> None:
    free = threading.Event()

    def reconcile(namespace: str, name: str) -> Outcome:
        free.wait(10)
        return WAITING

    pace = Pace(interval=NEVER, agent_interval=NEVER, stuck=0.05)
    async with driving(reconcile, pace=pace) as (driver, _):
        driver.wake("lab", "cars")
        assert driver.stuck() is None
        await until(lambda: driver.stuck() == "the reconcile of lab/cars")
        free.set()
        await until(lambda: driver.stuck() is None)


async def test_one_that_hangs_shows_although_others_go_on() -> None:
    free = threading.Event()

    def reconcile(namespace: str, name: str) -> Outcome:
        if name == "cars":
            free.wait(10)
        return WAITING

    pace = Pace(interval=0.01, agent_interval=0.01, stuck=NEVER, hung=0.2)
    async with driving(reconcile, pace=pace) as (driver, results):
        driver.wake("lab", "cars")
        driver.wake("lab", "bikes")
        await until(lambda: results["done"] > 3 and driver.stuck() == "the reconcile of lab/cars")
        free.set()


async def test_one_that_takes_long_while_others_end_is_no_hang_yet() -> None:
    free = threading.Event()

    def reconcile(namespace: str, name: str) -> Outcome:
        if name == "cars":
            free.wait(10)
        return WAITING

    pace = Pace(interval=0.01, agent_interval=0.01, stuck=PATIENCE, hung=NEVER)
    async with driving(reconcile, pace=pace) as (driver, _):
        driver.wake("lab", "bikes")
        driver.wake("lab", "cars")
        began = time.monotonic()
        while time.monotonic() < began + 1.5 * PATIENCE:
            assert driver.stuck() is None
            await asyncio.sleep(0.02)
        free.set()


async def test_failing_is_progress() -> None:
    tries = Counter[str]()

    def reconcile(namespace: str, name: str) -> Outcome:
        tries.update([name])
        raise KubernetesError("The API server did not answer.")

    pace = Pace(interval=0.05, agent_interval=NEVER, stuck=PATIENCE, hung=PATIENCE)
    async with driving(reconcile, pace=pace) as (driver, _):
        driver.wake("lab", "cars")
        began = time.monotonic()
        while time.monotonic() < began + 1.5 * PATIENCE:
            assert driver.stuck() is None
            await asyncio.sleep(0.02)
    assert tries["cars"] > 5
