"""What Redis keeps for an agent that is called: images are gone, so nothing of it is a cache."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext

import pytest

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_records import RedisRecords
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core.ports import Key, Publication, Taken
from sam2_agent.errors import StoreUnavailable
from tests.redis_server import RedisServer

PREFIX = "s2t:{test}:"
OTHER = Key("answer", "c" * 64)
MEMORY, ANSWER = Key("memory", "a" * 64), Key("answer", "b" * 64)


@pytest.mark.parametrize("cache", [True, False])
async def test_a_full_redis_takes_no_answer_rather_than_lose_a_track(
    redis_server: RedisServer, cache: bool
) -> None:
    store = RedisStore(
        connect(redis_server.url, None),
        prefix=PREFIX,
        holder="pod",
        state_seconds=100,
        memory_seconds=100,
        on_answer=lambda: None,
        memories_are_cache=cache,
    )
    with redis_server.client() as client:
        taken = await store.take("1" * 32, 10)
        assert isinstance(taken, Taken)
        await store.remember({MEMORY: bytes(100_000)}, [], [])
        client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)
        refused = nullcontext() if cache else pytest.raises(StoreUnavailable, match="Redis is full")
        with refused:
            await store.publish(taken.token, [Publication(ANSWER, b"answer")])
        assert client.exists(f"{PREFIX}memory:{MEMORY.name}") == (not cache)
    await store.close()


async def test_without_scripts_the_first_answer_stands_too(redis_server: RedisServer) -> None:
    records = RedisRecords(connect(redis_server.url, None), prefix=PREFIX, seconds=100)
    both = [Publication(ANSWER, b"first"), Publication(OTHER, b"other")]
    assert await records.publish("", both) == [b"first", b"other"]
    assert await records.publish("", [Publication(ANSWER, b"second")]) == [b"first"]
    assert await records.publish("", [Publication(ANSWER, b"second", b"not that")]) == [b"first"]
    assert await records.publish("", [Publication(ANSWER, b"second", b"first")]) == [b"second"]
    await records.remember({MEMORY: b"memory", Key("link", "d"): b"link"}, [ANSWER], [])
    assert await records.read([ANSWER, MEMORY, Key("link", "d"), Key("link", "e")]) == [
        b"second",
        b"memory",
        b"link",
        None,
    ]
    await records.remember({}, [], [MEMORY.name])
    assert await records.read([MEMORY]) == [None]
    with redis_server.client() as client:
        client.set(f"{PREFIX}answer:{OTHER.name}", b"")
        assert await records.publish("", [Publication(OTHER, b"mended")]) == [b"mended"]
        assert all(client.pttl(key) > 0 for key in client.scan_iter())
    await records.close()


async def test_a_damaged_record_is_replaced_by_one_of_many(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(f"{PREFIX}answer:{ANSWER.name}", b"damaged")
    several = [RedisRecords(connect(redis_server.url, None), prefix=PREFIX, seconds=100) for _ in range(8)]
    wanted = [
        each.publish("", [Publication(ANSWER, f"answer {number}".encode(), b"damaged")])
        for number, each in enumerate(several)
    ]
    told = await asyncio.gather(*wanted)
    assert len({tuple(each) for each in told}) == 1
    for each in several:
        await each.close()


async def test_a_connection_that_was_closed_while_nobody_called_fails_no_call(
    redis_server: RedisServer,
) -> None:
    """A function of Nuclio has nobody before it who calls again."""
    records = RedisRecords(connect(redis_server.url, None, attempts=2), prefix=PREFIX, seconds=100)
    with redis_server.client() as client:
        await records.publish("", [Publication(ANSWER, b"answer")])
        client.client_kill_filter(_type="normal", skipme=True)
        assert await records.read([ANSWER]) == [b"answer"]
        client.client_kill_filter(_type="normal", skipme=True)
        assert await records.publish("", [Publication(ANSWER, b"other")]) == [b"answer"]
        client.client_kill_filter(_type="normal", skipme=True)
        await records.remember({MEMORY: b"memory"}, [ANSWER], [])
        assert await records.read([MEMORY]) == [b"memory"]
    await records.close()
