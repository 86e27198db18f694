"""What is remembered of CVAT: that a function was there, for seconds, if many are wanted; no more."""

from __future__ import annotations

import pytest

from sam2_operator.adapters.cvat.sightings import FRESH_SECONDS, Sightings
from sam2_operator.core.observed import Function
from tests.controlplane.harness import MovableClock

MANY = range(1, 11)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def seen(clock: MovableClock) -> Sightings:
    return Sightings(clock)


def function(function_id: int) -> Function:
    return Function(
        id=function_id,
        name=f"f{function_id}",
        kind="tracker",
        provider="native",
        visibility="private",
        shape_types=("mask",),
        owner_id=1,
    )


def listed(seen: Sightings, *, pages: int = 1) -> None:
    seen.note_listing([function(each) for each in MANY], pages=pages, at=seen.now())


def test_a_few_functions_are_asked_for_each_time(seen: Sightings) -> None:
    listed(seen)
    assert [seen.wanted(each) for each in (1, 2, 1, 2)] == [None] * 4
    assert not seen.listing_is_cheaper()


def test_many_are_served_from_one_list_until_it_is_old(seen: Sightings, clock: MovableClock) -> None:
    for each in MANY:
        assert seen.wanted(each) is None
    assert seen.listing_is_cheaper()
    listed(seen)
    assert not seen.listing_is_cheaper()
    assert [seen.wanted(each) for each in MANY] == [function(each) for each in MANY]
    clock.advance(FRESH_SECONDS + 1)
    assert [seen.wanted(each) for each in MANY] == [None] * len(MANY)
    assert seen.listing_is_cheaper()


def test_a_list_of_many_pages_is_not_made_for_few(seen: Sightings, clock: MovableClock) -> None:
    listed(seen, pages=len(MANY))
    clock.advance(FRESH_SECONDS + 1)
    for each in MANY:
        seen.wanted(each)
    assert not seen.listing_is_cheaper()


def test_what_a_list_lacks_or_was_deleted_since_is_asked_for(seen: Sightings) -> None:
    for each in MANY:
        seen.wanted(each)
    listed(seen)
    seen.forget(3)
    assert seen.wanted(3) is None
    assert seen.remembered(3) is None
    assert seen.wanted(99) is None


def test_a_new_list_forgets_what_the_old_one_had(seen: Sightings) -> None:
    for each in MANY:
        seen.wanted(each)
    listed(seen)
    seen.note_listing([function(1)], pages=1, at=seen.now())
    assert seen.wanted(1) == function(1)
    assert seen.wanted(2) is None


def test_of_a_cvat_that_is_too_slow_some_minutes_count(seen: Sightings, clock: MovableClock) -> None:
    seen.note(function(1))
    clock.advance(299)
    assert seen.remembered(1) == function(1)
    clock.advance(2)
    assert seen.remembered(1) is None
