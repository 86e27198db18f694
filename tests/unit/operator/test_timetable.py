"""Work is spread evenly over time."""

from __future__ import annotations

import random
from itertools import pairwise

from sam2_operator.timetable import Timetable

MANY = 200


def test_moments_taken_in_a_time_keep_a_distance_that_chance_does_not() -> None:
    timetable = Timetable(random.Random(1))
    moments = sorted(timetable.take(0.0, 0.0, MANY) for _ in range(MANY))  # one a second, if even
    assert moments[0] >= 0.0
    assert moments[-1] <= MANY
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) > 0.2
    assert max(gaps) < 3


def test_a_moment_that_was_given_up_is_free_again() -> None:
    timetable = Timetable(random.Random(1))
    first = timetable.take(0.0, 10.0, 20.0)
    timetable.take(0.0, 30.0, 40.0)
    timetable.leave(first)
    assert len(timetable) == 1
    timetable.leave(first)
    assert len(timetable) == 1


def test_who_keeps_giving_up_and_taking_has_one_moment() -> None:
    timetable = Timetable(random.Random(1))
    moment = 0.0
    for now in range(1000):
        timetable.leave(moment)
        moment = timetable.take(now, 48.0, 60.0)
        assert now + 48 <= moment <= now + 60
    assert len(timetable) == 1


def test_moments_that_nobody_gave_up_are_free_when_they_have_passed() -> None:
    timetable = Timetable(random.Random(1))
    for now in range(1000):
        timetable.take(now, 0.0, 10.0)
    assert len(timetable) <= 11


def test_the_same_moment_may_be_taken_twice() -> None:
    timetable = Timetable(random.Random(1))
    assert timetable.take(0.0, 5.0, 5.0) == timetable.take(0.0, 5.0, 5.0) == 5.0
    timetable.leave(5.0)
    assert len(timetable) == 1
