"""Told to stop, the agent finishes or hands over, in time, and its successor goes on at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam2_agent.core.patience import Patience
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import PREFIX, AgentProcess, children, watched
from tests.integration.agent.conftest import World
from tests.integration.agent.failing_model import SlowMemoryAttention, write_config
from tests.integration.agent.faults import (
    ACQUIRE,
    COMPLETE,
    PATIENT,
    ask_to_begin,
    at,
    judged,
    keys,
    meanwhile,
    status_of,
    undisturbed,
)
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.agent.sticky_tracker import StickyTracker

LONG_LEASE = {"LEASE_SECONDS": "300"}
"""Whoever had to wait for its end would be seen to."""

IN_TIME = 15.0
"""Seconds: half of the grace period that a pod has."""


@pytest.fixture
def slow_model(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings with a model that takes until the test is over to load."""
    orders = tmp_path / "orders"
    orders.touch()
    yield write_config(tmp_path, SlowMemoryAttention, orders)
    orders.unlink()


def ended_in_time(agent: AgentProcess) -> bool:
    """Whether the agent ends as asked, with time to spare."""
    return agent.wait_exit(IN_TIME) == 0


def test_a_stopped_agent_leaves_nothing_behind(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    world.track(stop=3)
    agent.stop()
    assert not keys(world, "lease")
    assert not keys(world, "requests")
    assert len(keys(world, "memory:*")) == 3 * 4


def test_the_request_in_hand_is_finished_and_the_successor_goes_on_at_once(world: World) -> None:
    first = world.new_agent(HOLDER="pod-a", **LONG_LEASE)
    first.start()
    first.wait_ready()
    expected = world.track(stop=6)
    stall = world.cvat.faults.stall(COMPLETE, skip=4)

    def replace() -> None:
        wait_for(lambda: stall.taken() == 1, "the request in hand")
        first.signal(signal.SIGTERM)
        first.wait_for(lambda: first.status()["reason"] == "Draining")
        world.cvat.faults.release()
        assert ended_in_time(first)
        world.new_agent(HOLDER="pod-b", **LONG_LEASE).start()

    with meanwhile(replace):
        got = world.track(stop=6)
    assert judged("SIGTERM in a request", world, expected, got)
    assert {record.handed_out for record in world.cvat.requests()} == {1}


def test_a_container_restarted_in_the_same_pod_goes_on_at_once(world: World) -> None:
    agent = world.new_agent(HOLDER="pod-a", **LONG_LEASE)
    agent.start()
    agent.wait_ready()
    expected = world.track(stop=6)

    def crash() -> None:
        agent.kill()
        agent.start()

    assert judged("killed, restarted in the same pod", world, expected, world.track(at(3, crash), stop=6))


def test_a_second_signal_leaves_the_request_to_the_successor(world: World) -> None:
    first = world.new_agent(HOLDER="pod-a", **LONG_LEASE)
    first.start()
    first.wait_ready()
    expected = world.track(stop=4)
    stall = world.cvat.faults.stall(COMPLETE, skip=2)

    def replace() -> None:
        wait_for(lambda: stall.taken() == 1, "the request in hand")
        first.signal(signal.SIGTERM)
        first.wait_for(lambda: first.status()["reason"] == "Draining")
        first.signal(signal.SIGTERM)
        assert ended_in_time(first)  # while its call to CVAT still hangs
        assert not keys(world, "lease")
        world.cvat.faults.release()
        world.new_agent(HOLDER="pod-b", **LONG_LEASE).start()

    with meanwhile(replace):
        got = world.track(stop=4)
    assert judged("two SIGTERMs in a request", world, expected, got)


def test_an_agent_that_waits_for_the_lease_stops_at_once(world: World) -> None:
    with world.redis.client() as client:
        client.set(f"{PREFIX}lease", "f" * 32 + "pod-b", px=600_000)
    agent = world.new_agent(HOLDER="pod-a")
    agent.start()
    agent.wait_for(lambda: agent.status().get("reason") == "WaitingForLease")
    agent.signal(signal.SIGTERM)
    assert ended_in_time(agent)
    assert keys(world, "lease")


def test_an_agent_that_loads_its_model_stops_at_once(world: World, slow_model: dict[str, str]) -> None:
    agent = world.new_agent(**slow_model)
    agent.start()
    agent.wait_for(lambda: agent.status().get("reason") == "LoadingModel")
    agent.signal(signal.SIGTERM)
    assert ended_in_time(agent)


def test_an_agent_that_has_only_just_begun_to_start_stops_at_once(world: World) -> None:
    agent = world.new_agent(plain=True)
    agent.start()
    agent.wait_for(lambda: bool(children(agent.pid)))
    [model] = children(agent.pid)  # which is yet to import what it needs, as is the agent
    model_ended = watched(model)
    agent.signal(signal.SIGTERM)
    assert ended_in_time(agent)
    assert model_ended()


def test_an_agent_whose_redis_is_away_stops_in_time(world: World) -> None:
    agent = world.new_agent()
    agent.start()
    agent.wait_ready()
    world.redis.kill()
    agent.wait_for(lambda: agent.status().get("reason") == "RedisUnreachable")
    agent.signal(signal.SIGTERM)
    assert ended_in_time(agent)


def test_a_cvat_that_lets_calls_hang_does_not_hold_up_the_end(world: World) -> None:
    expected = undisturbed(world, stop=3)
    first = world.new_toy(patience=Patience(lease=600.0, poll=0.5, drain=0.3), holder="pod-a")
    first.start().wait_ready()
    stall = world.cvat.faults.stall(ACQUIRE)
    first.wait_for(lambda: stall.taken() == 1)
    began_at = time.monotonic()
    first.stop()
    assert time.monotonic() - began_at < IN_TIME
    world.cvat.faults.release()
    world.new_toy(holder="pod-b").start()
    assert judged("stopped while CVAT hangs", world, expected, world.track(stop=3))


def test_a_redis_that_hangs_does_not_hold_up_the_end(world: World) -> None:
    expected = undisturbed(world, stop=3)
    first = world.new_toy(patience=Patience(lease=60.0, poll=0.5, drain=0.3, release=0.3), holder="pod-a")
    first.start().wait_ready()
    began_at = time.monotonic()
    world.redis.pause()
    try:
        first.stop()
    finally:
        world.redis.resume()
    assert time.monotonic() - began_at < 5.0  # less than Redis may take to answer
    world.new_toy(holder="pod-a").start()
    assert judged("stopped while Redis hangs", world, expected, world.track(stop=3))


@pytest.fixture
def sticky() -> StickyTracker:
    return StickyTracker()


def test_a_long_restore_that_is_cut_off_is_finished_by_the_successor(
    world: World, sticky: StickyTracker
) -> None:
    expected = undisturbed(world, stop=8)
    hasty = Patience(lease=600.0, poll=0.5, request=60.0, drain=0.3)
    first = world.new_toy(patience=hasty, holder="pod-a", tracker=sticky).start().wait_ready()

    def forget_and_stop() -> None:
        first.stop()
        with world.redis.client() as client:
            for key in keys(world, "memory:*"):
                client.delete(key)
        second = world.new_toy(patience=hasty, holder="pod-b", tracker=sticky)
        sticky.let_go.clear()
        second.start().wait_ready()
        world.meanwhile(lambda: cut_off(second))

    def cut_off(second: InProcessAgent) -> None:
        wait_for(lambda: keys(world, "requests"), "the request that restores")
        second.stop()
        sticky.let_go.set()
        assert keys(world, "requests")
        world.new_toy(patience=PATIENT, holder="pod-c").start()

    got = world.track(at(5, forget_and_stop), stop=8)
    assert judged("stopped in a restore", world, expected, got)


def test_what_is_left_when_the_agent_stops_is_finished_by_the_next(world: World) -> None:
    away = world.cvat.faults.status(COMPLETE, 503, times=None)
    first = world.new_toy(holder="pod-a").start().wait_ready()
    request = ask_to_begin(world)
    first.wait_for(lambda: away.taken() > 0)
    first.stop()
    assert keys(world, "requests")
    away.clear()
    second = world.new_toy(holder="pod-b").start()
    second.wait_for(lambda: status_of(world, request) == "finished")
    assert second.tracker.steps == 0
