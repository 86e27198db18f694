"""Retries neither spin nor come in step."""

from __future__ import annotations

from itertools import accumulate
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core.backoff import Backoff


@given(st.integers(), st.integers(1, 50))
def test_waits_stay_in_bounds(seed: int, tries: int) -> None:
    backoff = Backoff(Random(seed), shortest=0.1, longest=10.0)
    assert all(0.1 <= backoff.next() <= 10.0 for _ in range(tries))


@given(st.integers())
def test_waits_grow_soon_and_begin_anew(seed: int) -> None:
    backoff = Backoff(Random(seed), shortest=0.1, longest=10.0)
    assert sum(total < 60 for total in accumulate(backoff.next() for _ in range(100))) <= 18
    backoff.reset()
    assert backoff.next() <= 0.2


def test_two_agents_do_not_retry_in_step() -> None:
    one, other = Backoff(Random(1)), Backoff(Random(2))
    assert [one.next() for _ in range(5)] != [other.next() for _ in range(5)]


def test_what_the_other_side_asks_for_is_honoured() -> None:
    assert Backoff(Random(1)).next(45.0) == 45.0
