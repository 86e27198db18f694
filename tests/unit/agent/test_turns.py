"""When a request that was begun is tried again, and with what."""

from __future__ import annotations

from random import Random

import pytest

from sam2_agent.core.requests import Assignment, Recorded
from sam2_agent.core.turns import Turns


class StoppedClock:
    """Time that passes where a test says so."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")


def asked(frame: int, attempts: int = 1, ar_id: str = "one") -> Recorded:
    return Recorded(assignment=Assignment(ar_id=ar_id, ar_params={"frame": frame}), attempts=attempts)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def turns(clock: StoppedClock) -> Turns:
    return Turns(clock, Random(1))


def test_what_was_asked_last_counts_and_the_most_attempts(turns: Turns) -> None:
    turns.begin(asked(3, attempts=4), is_recorded=True)
    again = turns.begin(asked(5, attempts=1), is_recorded=False)
    assert again.request == asked(5, attempts=4)
    assert not again.is_recorded
    assert turns.due(besides=()) == [again.request]
    assert len(turns) == 1


def test_trouble_is_counted_from_the_first(turns: Turns, clock: StoppedClock) -> None:
    begun = turns.begin(asked(3), is_recorded=True)
    clock.time += 500
    assert begun.troubled(clock.now()) == 0
    clock.time += 7
    assert turns.begin(asked(3), is_recorded=True).troubled(clock.now()) == 7


@pytest.mark.parametrize(
    ("turn", "trouble", "least", "left_for"),
    [(5.0, 5.0, 1.0, 5.0), (60.0, 5.0, 1.0, 5.0), (30.0, 300.0, 1.0, 30.0), (0.5, 300.0, 8.0, 8.0)],
    ids=["trouble all along", "long to compute", "a later turn", "a short one"],
)
def test_others_go_first_for_as_long_as_the_turn_was_in_trouble(
    turns: Turns, clock: StoppedClock, *, turn: float, trouble: float, least: float, left_for: float
) -> None:
    begun = turns.begin(asked(3), is_recorded=True)
    other = turns.begin(asked(4, ar_id="other"), is_recorded=True)
    begun.troubled(clock.now() - trouble)
    begun.leave(clock.now(), clock.now() - turn, least)
    assert turns.wait("one") == left_for
    assert turns.due(besides=()) == [other.request]
    clock.time += left_for
    assert turns.wait("one") == 0
    assert turns.due(besides=("other",)) == [begun.request]


def test_what_has_ended_is_forgotten(turns: Turns) -> None:
    turns.begin(asked(3), is_recorded=True)
    turns.end("one")
    turns.end("one")
    assert "one" not in turns
    assert not turns.due(besides=())
