"""A Redis without room: answers come first, and nothing that an annotator gets is wrong or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from sam2_agent.core.patience import Patience
from tests.cvat_standin.annotator import TrackedFrame
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import at, sentence_of
from tests.integration.agent.redis_faults.disturbance import AWAY, PATIENT, require_clean
from tests.toy_tracker import ToyMemory, ToyTracker

STOP = 12
PADDING = 32 * 1024


class LargeMemoryTracker(ToyTracker):
    """The toy, with memories of a size that a small Redis notices."""

    def dump_memory(self, memory: object) -> bytes:
        assert isinstance(memory, ToyMemory)
        return memory.digest + bytes(PADDING)

    def load_memory(self, data: bytes) -> ToyMemory:
        return super().load_memory(data[:32])


def used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def memories(client: redis.Redis) -> int:
    return sum(1 for _ in client.scan_iter(f"{PREFIX}memory:*"))


@contextmanager
def room(world: World, extra: int, policy: str = "noeviction") -> Iterator[redis.Redis]:
    """Leave Redis that many bytes more than it uses now."""
    with world.redis.client() as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", used(client) + extra)
        yield client


def test_memories_make_room_for_answers(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Half of what the memories take is there: the track goes on at its usual pace, also with a successor."""
    agent = world.new_toy(patience=PATIENT, tracker=LargeMemoryTracker()).start().wait_ready()
    expected = world.track(stop=STOP)
    with world.redis.client() as client:
        client.flushall()
    agent.wait_for(agent.status.lease_held)
    later: list[Any] = []

    def replace() -> None:
        agent.stop()
        later.append(world.new_toy(patience=PATIENT, tracker=LargeMemoryTracker()).start())

    with room(world, 13 * PADDING) as client:
        fill, renew = at(5, lambda: client.config_set("maxmemory", used(client) - 1)), at(8, replace)

        def meanwhile(frame: TrackedFrame) -> None:
            fill(frame)
            renew(frame)

        got = world.track(meanwhile, stop=STOP)
        assert client.info("memory")["used_memory"] < client.info("memory")["maxmemory"] + 64 * PADDING
        assert memories(client) > 0
    require_clean(world, "Redis full (noeviction)", expected, got)
    assert "Redis is full; memories make room for answers" in caplog.text
    assert agent.metric("memories_dropped_total") > 0
    later[0].wait_for(lambda: later[0].status.report().ready)


def test_without_any_room_the_lease_lives_and_the_annotator_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(lease=1.5, poll=0.5, request=2.0)
    agent = world.new_toy(patience=patience, tracker=LargeMemoryTracker()).start().wait_ready()
    expected = world.track(stop=2)
    states = world.begin()
    epoch = agent.status.lease.epoch if agent.status.lease else None
    first: dict[str, Any] = {"type": "track", "frame": 1, "states": states}
    with world.redis.client() as client:
        client.config_set("maxmemory", 1)
        assert sentence_of(world, **first) == AWAY
        report = agent.status.report()
        assert (report.ready, report.reason, report.leaseHeld) == (False, "RedisRefused", True)
        assert report.message.startswith("Redis is full")
        assert agent.metric("unavailable_total", reason="RedisRefused") > 1
        assert "Redis is full; raise its maxmemory" in caplog.text
        assert agent.status.lease
        assert agent.status.lease.epoch == epoch, "the lease was kept"
        assert memories(client) == 0

        agent.stop()
        agent = world.new_toy(patience=patience, holder="pod-b").start()
        agent.wait_for(agent.status.lease_held)
        assert sentence_of(world, **first) == AWAY
        client.config_set("maxmemory", 0)
        agent.wait_for(lambda: not client.hlen(f"{PREFIX}requests"))
    assert world.run(**first)["shapes"]
    agent.wait_for(lambda: agent.status.report().ready)
    require_clean(world, "Redis full (noeviction)", expected, world.track(stop=2))


def test_a_request_goes_on_as_soon_as_there_is_room(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=4)
    refused = agent.metric("unavailable_total", reason="RedisRefused")

    def fill() -> None:
        with world.redis.client() as client:
            client.config_set("maxmemory", 1)
        world.meanwhile(make_room)

    def make_room() -> None:
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="RedisRefused") > refused + 2)
        with world.redis.client() as client:
            client.config_set("maxmemory", 0)

    require_clean(world, "Redis full (noeviction)", expected, world.track(at(2, fill), stop=4))


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl"])
def test_records_that_vanish_all_the_time_cost_time_only(world: World, policy: str) -> None:
    """Not even the records of one step fit, and the agent is replaced in the middle."""
    agent = world.new_toy(patience=PATIENT, tracker=LargeMemoryTracker()).start().wait_ready()
    expected = world.track(stop=STOP)
    with world.redis.client() as client:
        client.flushall()
    agent.wait_for(agent.status.lease_held)

    def replace() -> None:
        agent.stop()
        world.new_toy(patience=PATIENT, tracker=LargeMemoryTracker()).start()

    with room(world, 3 * PADDING, policy) as client:
        got = world.track(at(8, replace), stop=STOP)
        assert client.info("stats")["evicted_keys"] > 0
    require_clean(world, f"Redis evicting ({policy})", expected, got)
