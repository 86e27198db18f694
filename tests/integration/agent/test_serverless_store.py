"""What Redis keeps for an agent that is called: images are gone, so nothing of it is a cache."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core.ports import Key, Publication, Taken
from sam2_agent.errors import StoreUnavailable
from tests.redis_server import RedisServer

PREFIX = "s2t:{test}:"
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
