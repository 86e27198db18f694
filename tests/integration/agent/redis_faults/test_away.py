"""Redis is away, hangs or is slow: requests are held, then Ann is told once, and then it goes on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sam2_agent.core.patience import Patience
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import FRAME, sentence_of
from tests.integration.agent.redis_faults.disturbance import AWAY, amid, require_clean
from tests.integration.agent.redis_faults.proxy import RedisProxy

HASTY = Patience(lease=1.5, poll=0.5, request=2.0)


@pytest.mark.parametrize("hangs", [True, False], ids=["connections hang", "connections are refused"])
def test_away_for_longer_than_the_patience(
    world: World, caplog: pytest.LogCaptureFixture, *, hangs: bool
) -> None:
    agent = world.new_toy(patience=HASTY, redis_seconds=0.5).start().wait_ready()
    expected = world.track(stop=2)
    states = world.begin()
    first: dict[str, Any] = {"type": "track", "frame": 10, "states": states}
    went_away = 0.0
    answered_later: list[dict[str, Any]] = []

    def go_away() -> None:
        nonlocal went_away
        world.redis.pause() if hangs else world.redis.kill()
        went_away = time.monotonic()

    with amid(world, FRAME, go_away):
        assert sentence_of(world, **first) == AWAY
    world.meanwhile(lambda: answered_later.append(world.run(type="track", frame=11, states=states)))
    agent.wait_for(lambda: agent.status.report().reason == "RedisUnreachable")
    agent.wait_for(lambda: time.monotonic() > went_away + 3 * HASTY.lease)
    assert agent.status.alive()
    assert not agent.status.lease_held()
    assert "Redis cannot be reached" in caplog.text
    tries = agent.metric("unavailable_total", reason="RedisUnreachable")
    assert 3 < tries < 20 * (time.monotonic() - went_away), "it keeps trying and does not spin"
    assert not answered_later

    world.redis.resume() if hangs else world.redis.start()
    agent.wait_for(lambda: bool(answered_later))
    with world.redis.client() as client:
        agent.wait_for(lambda: not client.hlen(f"{PREFIX}requests"))
    agent.wait_for(lambda: agent.status.report().ready)
    got = world.track(stop=2)
    assert [request.exc_info for request in world.cvat.requests() if request.status == "failed"] == [AWAY]
    require_clean(world, f"Redis away ({'hanging' if hangs else 'refusing'})", expected, got)


def test_slow_replies_cost_time_only(world: World) -> None:
    """Each reply takes a fifth of the lease."""
    with RedisProxy(world.redis.port).running() as proxy:
        patience = Patience(lease=1.5, poll=0.5, request=60.0)
        agent = world.new_toy(redis_url=proxy.url, patience=patience).start().wait_ready()
        expected = world.track(stop=2)
        epoch = agent.status.report().leaseEpoch
        proxy.latency = 0.3
        got = world.track(stop=2)
        assert agent.status.report().leaseEpoch == epoch, "the lease was kept"
        agent.stop()
    require_clean(world, "Redis slow", expected, got)


@pytest.mark.parametrize("seed", [1, 2])
def test_replies_cut_in_their_middle(world: World, seed: int) -> None:
    with RedisProxy(world.redis.port, seed=seed).running() as proxy:
        patience = Patience(lease=3.0, poll=0.5, request=60.0)
        agent = world.new_toy(redis_url=proxy.url, patience=patience).start().wait_ready()
        expected = world.track(stop=12)
        proxy.cut_share = 0.25
        got = world.track(stop=12)
        assert proxy.cuts > 2
        assert agent.metric("unavailable_total", reason="RedisUnreachable") > 0
        assert agent.metric("records_damaged_total", kind="answer") == 0
        proxy.cut_share = 0.0
        agent.stop()
    require_clean(world, "Redis connections reset in a reply", expected, got)
