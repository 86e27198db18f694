"""How soon the operator looks again, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from sam2_operator.adapters.cvat.sightings import FRESH_SECONDS
from sam2_operator.core.observed import Pod
from sam2_operator.core.outcome import Outcome
from sam2_operator.driver import Driver
from sam2_operator.errors import KubernetesError
from sam2_operator.pace import Pace, Tracked, phases
from sam2_operator.settings import Settings
from tests.unit.operator.build import pod
from tests.unit.operator.virtual_time import AtOnce, play

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

READY = Outcome(exists=True, ready=True, pod=pod())
REPAIRED_WITHIN = 90.0
BURST = 100
MANY = 300


@asynccontextmanager
async def driving(
    outcome: Callable[[], Outcome],
    *,
    serves: Callable[[Pod], bool] = lambda _: True,
    names: Callable[[], list[tuple[str, str]]] = list,
) -> AsyncIterator[tuple[Driver, list[float]]]:
    """A driver of the default pace, and when it reconciled."""
    at: list[float] = []

    def reconcile(namespace: str, name: str) -> Outcome:
        at.append(asyncio.get_running_loop().time())
        return outcome()

    settings = Settings()
    driver = Driver(
        reconcile=reconcile,
        serves=serves,
        scopes=[names],
        observe=lambda *_: None,
        executor=AtOnce(),
        workers=8,
        pace=Pace(settings.interval_seconds, settings.agent_interval_seconds),
        random=random.Random(1),
    )
    running = asyncio.create_task(driver.run())
    try:
        yield driver, at
    finally:
        driver.stop()
        await running


def longest_gap(at: list[float]) -> float:
    return max(later - earlier for earlier, later in pairwise(at))


@pytest.mark.parametrize("ready", [True, False])
def test_without_any_event_it_looks_again_in_time_to_repair(ready: bool) -> None:
    async def story() -> list[float]:
        async with driving(lambda: READY if ready else Outcome(exists=True)) as (driver, at):
            driver.wake("lab", "cars")
            await asyncio.sleep(3600)
            return at

    at = play(story())
    assert longest_gap(at) + FRESH_SECONDS < REPAIRED_WITHIN - 3  # the rest is for the repair itself
    assert len(at) < 3600 / (50 if ready else 10)


def test_many_trackers_are_looked_at_evenly_and_not_in_clusters() -> None:
    async def story() -> list[float]:
        async with driving(lambda: READY) as (driver, at):
            for number in range(MANY):
                driver.wake("lab", f"t{number}")
            await asyncio.sleep(500)
            return at

    seconds = Counter(int(each) for each in play(story()) if each > 60)
    usual = MANY / Settings().interval_seconds
    assert all(0.5 * usual < seconds[second] < 1.5 * usual for second in range(61, 500))


def test_few_trackers_that_came_one_after_the_other_are_looked_at_apart() -> None:
    async def story() -> list[float]:
        async with driving(lambda: READY) as (driver, at):
            for number in range(4):
                driver.wake("lab", f"t{number}")
                await asyncio.sleep(60)
            await asyncio.sleep(900)
            return at

    late = [each for each in play(story()) if each > 300]
    assert min(later - earlier for earlier, later in pairwise(late)) > 5


@pytest.mark.parametrize("interval", [0.01, 1.0, 60.0, 61.7, 3600.0])
@pytest.mark.parametrize("uptime", [0.0, 1e4, 1e8])
def test_turns_follow_each_other_by_an_interval_whenever_one_was_woken(
    interval: float, uptime: float
) -> None:
    rng = random.Random(1)
    for phase in islice(phases(rng.random()), 200):
        tracked, now = Tracked(phase), uptime + interval * rng.random()
        tracked.end(now, READY, Pace(interval, interval / 4), rng)
        assert now < tracked.due <= now + interval * 1.001
        turn = tracked.due
        tracked.end(turn, READY, Pace(interval, interval / 4), rng)
        assert tracked.due == pytest.approx(turn + interval, abs=interval / 100)


def test_a_tracker_that_serves_waits_for_what_cvat_asked_for() -> None:
    rng = random.Random(1)
    tracked = Tracked(0.5)
    tracked.end(1000.0, Outcome(exists=True, ready=True, retry_seconds=200.0), Pace(60.0, 15.0), rng)
    assert 1160 <= tracked.due <= 1200


def test_a_tracker_that_nobody_told_of_is_found_in_time() -> None:
    async def story() -> list[float]:
        known: list[tuple[str, str]] = []
        async with driving(lambda: READY, names=lambda: known) as (_, at):
            await asyncio.sleep(1000)
            known.append(("lab", "cars"))
            await asyncio.sleep(REPAIRED_WITHIN)
            return at

    assert len(play(story())) >= 1


def test_an_agent_that_stops_serving_is_noticed_before_ready_is_a_lie() -> None:
    async def story() -> list[float]:
        serving = True
        async with driving(lambda: READY, serves=lambda _: serving) as (driver, at):
            driver.wake("lab", "cars")
            while len(at) < 2:  # noqa: ASYNC110 - in virtual time; the next turn is an interval away
                await asyncio.sleep(0.1)
            serving = False
            await asyncio.sleep(30)
            return at

    assert len(play(story())) > 2


def test_a_burst_of_notifications_is_answered_by_few_reconciles() -> None:
    async def story() -> list[float]:
        async with driving(lambda: READY) as (driver, at):
            for _ in range(BURST):
                driver.wake("lab", "cars")
                await asyncio.sleep(0.001)
            await asyncio.sleep(10)
            return at

    assert 2 <= len(play(story())) <= 4


def test_what_cvat_asked_for_is_waited_when_nothing_happens() -> None:
    async def story() -> list[float]:
        async with driving(lambda: Outcome(exists=True, retry_seconds=200)) as (driver, at):
            driver.wake("lab", "cars")
            await asyncio.sleep(3000)
            return at

    assert longest_gap(play(story())) > 170


def test_a_tracker_that_is_woken_all_the_time_is_looked_at_ever_less_often_but_in_time() -> None:
    async def story() -> list[float]:
        async with driving(lambda: READY) as (driver, at):
            for _ in range(50 * 600):
                driver.wake("lab", "cars")
                await asyncio.sleep(0.02)
            return at

    at = play(story())
    assert len(at) < 600 / 4
    assert longest_gap(at) < 6


def test_after_some_quiet_a_notification_is_answered_at_once_again() -> None:
    async def story() -> tuple[float, list[float]]:
        async with driving(lambda: READY) as (driver, at):
            for _ in range(50 * 60):
                driver.wake("lab", "cars")
                await asyncio.sleep(0.02)
            await asyncio.sleep(200)
            for _ in range(2):
                began = asyncio.get_running_loop().time()
                driver.wake("lab", "cars")
                await asyncio.sleep(20)
            return began, at

    began, at = play(story())
    assert min(each - began for each in at if each >= began) < 1


def test_failures_are_tried_again_ever_later_but_within_the_interval() -> None:
    def failing() -> Outcome:
        raise KubernetesError("away")

    async def story() -> list[float]:
        async with driving(failing) as (driver, at):
            driver.wake("lab", "cars")
            await asyncio.sleep(3600)
            return at

    at = play(story())
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps[0] < 1.2 < gaps[1] < gaps[2]
    assert all(50 < gap < 70 for gap in gaps[8:])
