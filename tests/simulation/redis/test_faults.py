"""What can befall the simulated server, and what its client makes of a broken network."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import NoScriptError, ResponseError

from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.redis.replies import Reply


class Time:
    """Seconds that pass when told to."""

    now = 100.0


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def server(time: Time) -> SimRedis:
    return SimRedis(lambda: time.now)


def test_the_last_second_is_lost(server: SimRedis, time: Time) -> None:
    server.execute("SET", "kept", "old")
    server.execute("HSET", "hash", "a", 1)
    server.execute("SET", "deleted", "x")
    time.now += 10
    for command in (("SET", "kept", "new"), ("HSET", "hash", "b", 2), ("DEL", "deleted"), ("SET", "late", 1)):
        server.execute(*command)
    used = server.used
    server.lose_since(time.now - 1)
    assert server.execute("GET", "kept") == b"old"
    assert server.execute("HGETALL", "hash") == [b"a", b"1"]
    assert server.execute("GET", "deleted") == b"x"
    assert server.keys == [b"kept", b"hash", b"deleted"]
    assert server.used != used


def test_a_failover_goes_back_in_time_and_keys_expire_all_the_same(server: SimRedis, time: Time) -> None:
    server.execute("SET", "lease", "a", "PX", 15_000)
    behind = server.snapshot()
    time.now += 10
    server.execute("SET", "lease", "b", "PX", 15_000)
    server.restore(behind)
    assert (server.execute("GET", "lease"), server.execute("PTTL", "lease")) == (b"a", 5_000)
    assert server.used == len("lease") + len("a")
    time.now += 5
    assert server.execute("GET", "lease") == b"a"  # its last millisecond
    time.now += 0.001
    assert server.execute("GET", "lease") is None
    assert server.used == 0


def test_a_flush_keeps_scripts_and_a_restart_does_not(server: SimRedis) -> None:
    sha = server.execute("SCRIPT LOAD", "return redis.call('SET', KEYS[1], 'x')")
    assert isinstance(sha, bytes)
    server.execute("EVALSHA", sha, 1, "a")
    server.flush()
    assert (server.keys, server.used) == ([], 0)
    server.execute("EVALSHA", sha, 1, "a")
    server.restart()
    assert server.keys == [b"a"]
    with pytest.raises(NoScriptError):
        server.execute("EVALSHA", sha, 1, "a")


def test_eviction_takes_what_the_dice_say(server: SimRedis) -> None:
    for number in range(20):
        server.execute("SET", f"lives{number}", 1)
        server.execute("SET", f"ends{number}", 1, "PX", 1000)
    before = server.snapshot()
    server.evict(Random(7), 15, volatile_only=True)
    kept = server.keys
    assert len([key for key in kept if key.startswith(b"ends")]) == 5
    assert len([key for key in kept if key.startswith(b"lives")]) == 20
    server.restore(before)
    server.evict(Random(7), 15, volatile_only=True)
    assert server.keys == kept
    server.evict(Random(7), 100)
    assert server.keys == []


class Network:
    """Carries commands; the one numbered `breaks` takes effect but its reply is lost."""

    def __init__(self, breaks: int) -> None:
        self._left = breaks

    async def carry(self, attempt: Callable[[], Reply]) -> Reply:
        reply = attempt()
        self._left -= 1
        if self._left == 0:
            raise NoConnection("lost")
        return reply


async def test_a_pipeline_ends_where_the_connection_breaks(server: SimRedis) -> None:
    pipeline = SimRedisClient(server, Network(breaks=2).carry).pipeline(transaction=False)
    for key in ("a", "b", "c"):
        pipeline.set(key, "x")
    with pytest.raises(NoConnection):
        await pipeline.execute()
    assert server.keys == [b"a", b"b"]


async def test_a_pipeline_goes_on_after_a_refused_command(server: SimRedis) -> None:
    server.execute("HSET", "hash", "a", 1)
    pipeline = SimRedisClient(server, Network(breaks=0).carry).pipeline(transaction=False)
    pipeline.getex("hash", px=5)
    pipeline.set("b", "x")
    with pytest.raises(ResponseError, match="Command # 1 "):
        await pipeline.execute()
    assert server.keys == [b"hash", b"b"]


async def test_a_client_loads_its_script_again_after_a_restart(server: SimRedis) -> None:
    run = SimRedisClient(server, Network(breaks=0).carry).register_script("return ARGV[1]")
    assert await run(args=["x"]) == b"x"
    server.restart()
    assert await run(args=["y"]) == b"y"
