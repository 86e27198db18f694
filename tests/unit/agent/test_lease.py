"""A lease is never thought to be held longer than Redis holds it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sam2_agent.core.lease import Lease, look_again_after, renew_after

SECONDS = st.floats(1, 300)


@given(SECONDS, st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.booleans()), max_size=20))
def test_it_ends_for_us_before_it_ends_in_redis(
    seconds: float, rounds: list[tuple[float, float, bool]]
) -> None:
    """`rounds`: how long before asking, how long the question travels, whether the reply arrives."""
    now = 0.0
    lease = Lease("token", 1, now + seconds)
    in_redis = now + seconds
    for before, travel, reply_arrives in rounds:
        now += before
        asked_at = now
        now += travel
        in_redis = now + seconds
        if reply_arrives:
            lease = lease.renewed(asked_at, seconds)
        assert lease.expires <= in_redis
        assert not lease.held(in_redis)


def test_a_late_reply_does_not_shorten_it() -> None:
    lease = Lease("token", 1, 0.0).renewed(20.0, 15.0)
    assert lease.renewed(10.0, 15.0).expires == 35.0


@given(SECONDS)
def test_three_renewals_may_fail(seconds: float) -> None:
    assert 4 * renew_after(seconds) < seconds


@given(SECONDS, st.floats(0, 300))
def test_a_waiting_agent_neither_spins_nor_oversleeps(seconds: float, left: float) -> None:
    assert 0.05 <= look_again_after(seconds, left) <= max(0.05, seconds / 15)
