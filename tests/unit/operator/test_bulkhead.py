"""Slow dependencies take a few threads, never all."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from sam2_operator.core.bulkhead import Bulkhead, OccupiedError
from tests.controlplane.harness import MovableClock


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


def bulkhead(clock: MovableClock, *, slots: int = 2, failures_only: bool = False) -> Bulkhead:
    return Bulkhead(clock.monotonic, slow_seconds=10, slots=slots, failures_only=failures_only)


def slow(doors: Bulkhead, clock: MovableClock, *names: str, seconds: float = 11) -> None:
    for name in names:
        with doors.passing(name):
            clock.advance(seconds)


def fail_slowly(clock: MovableClock) -> None:
    clock.advance(11)
    raise ZeroDivisionError


def test_who_answers_quickly_is_asked_by_any_number(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    with ExitStack() as inside:
        for _ in range(20):
            inside.enter_context(doors.passing("quick"))


def test_who_was_slow_is_asked_by_one_at_a_time(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    slow(doors, clock, "slow")
    with doors.passing("slow"), pytest.raises(OccupiedError), doors.passing("slow"):
        pass
    with doors.passing("other"), doors.passing("other"):
        pass


def test_who_is_slow_right_now_is_asked_by_nobody_else(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    with doors.passing("hanging"):
        clock.advance(11)
        assert doors.is_suspect("hanging")
        with pytest.raises(OccupiedError), doors.passing("hanging"):
            pass


def test_all_that_are_slow_share_a_few_threads(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    slow(doors, clock, "a", "b", "c")
    with doors.passing("a"), doors.passing("b"):
        with pytest.raises(OccupiedError), doors.passing("c"):
            pass
        with doors.passing("quick"):
            pass
    with doors.passing("c"):
        pass


def test_a_quick_answer_restores_trust(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    slow(doors, clock, "slow")
    slow(doors, clock, "slow", seconds=1)
    with doors.passing("slow"), doors.passing("slow"):
        pass


def test_a_slow_failure_counts_and_frees_its_slot(clock: MovableClock) -> None:
    doors = bulkhead(clock, slots=1, failures_only=True)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), doors.passing("broken"):
            fail_slowly(clock)
        assert doors.is_suspect("broken")
    slow(doors, clock, "slow but answering")
    assert not doors.is_suspect("slow but answering")


def test_who_was_not_asked_for_an_hour_is_forgotten(clock: MovableClock) -> None:
    doors = bulkhead(clock)
    slow(doors, clock, "old")
    clock.advance(3601)
    slow(doors, clock, "another", seconds=0)
    assert not doors.is_suspect("old")
