"""What the store's scripts promise, on a real Redis."""

from __future__ import annotations

import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio as redis

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import COMMANDS, RedisStore
from sam2_agent.core.ports import HeldByAnother, Key, Publication, Taken
from sam2_agent.errors import InvalidSettings, LeaseLost, StoreUnavailable
from sam2_operator.adapters import statestore
from tests.redis_server import RedisServer

PREFIX = "s2t:{test}:"
ONE, OTHER = Key("answer", "one"), Key("answer", "other")


@asynccontextmanager
async def opened(
    server: RedisServer,
    holder: str = "pod-a",
    url: str | None = None,
    client: redis.Redis | None = None,
    now: Callable[[], float] = time.monotonic,
) -> AsyncIterator[RedisStore]:
    store = RedisStore(
        client or connect(url or server.url, None),
        prefix=PREFIX,
        holder=holder,
        state_seconds=1000,
        memory_seconds=100,
        on_answer=lambda: None,
        now=now,
    )
    try:
        yield store
    finally:
        await store.close()


async def token_of(store: RedisStore, nonce: str = "1" * 32, seconds: float = 60.0) -> str:
    taken = await store.take(nonce, seconds)
    assert isinstance(taken, Taken)
    return taken.token


async def test_what_is_published_first_stands(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store:
        token = await token_of(store)
        assert await store.publish(token, [Publication(ONE, b"first")]) == [b"first"]
        both = [Publication(ONE, b"second"), Publication(OTHER, b"new")]
        assert await store.publish(token, both) == [b"first", b"new"]
        assert await store.read([ONE, OTHER, Key("answer", "none")]) == [b"first", b"new", None]


async def test_only_bytes_proved_damaged_are_replaced(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store:
        token = await token_of(store)
        await store.publish(token, [Publication(ONE, b"rotten")])
        assert await store.publish(token, [Publication(ONE, b"sound", b"other bytes")]) == [b"rotten"]
        assert await store.publish(token, [Publication(ONE, b"sound", b"rotten")]) == [b"sound"]
        assert await store.publish(token, [Publication(ONE, b"late", b"rotten")]) == [b"sound"]


async def test_without_the_lease_nothing_is_written(redis_server: RedisServer) -> None:
    async with opened(redis_server) as old, opened(redis_server, "pod-b") as new:
        stale = await token_of(old, seconds=0.05)
        deadline = time.monotonic() + 5
        while isinstance(await new.take("2" * 32, 60.0), HeldByAnother):
            assert time.monotonic() < deadline
        with pytest.raises(LeaseLost):
            await old.publish(stale, [Publication(ONE, b"a"), Publication(OTHER, b"b")])
        with pytest.raises(LeaseLost):
            await old.renew(stale, 60.0)
        await old.release(stale)
        assert await new.read([ONE, OTHER]) == [None, None]
        assert isinstance(await old.take("3" * 32, 60.0), HeldByAnother)


async def test_the_same_holder_takes_over_at_once_and_the_old_token_is_void(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server) as before, opened(redis_server) as after:
        stale = await token_of(before, "1" * 32)
        taken = await after.take("2" * 32, 60.0)
        assert isinstance(taken, Taken)
        assert taken.epoch == 2
        with pytest.raises(LeaseLost):
            await before.publish(stale, [Publication(ONE, b"a")])


async def test_a_released_lease_is_free(redis_server: RedisServer) -> None:
    async with opened(redis_server) as one, opened(redis_server, "pod-b") as other:
        token = await token_of(one)
        held = await other.take("2" * 32, 60.0)
        assert isinstance(held, HeldByAnother)
        assert 50 < held.left <= 60
        await one.release(token)
        assert isinstance(await other.take("2" * 32, 60.0), Taken)


async def test_a_renewal_tells_how_many_requests_wait(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store, opened(redis_server, "pod-b") as without_lease:
        token = await token_of(store)
        assert await store.renew(token, 60.0) == 0
        await without_lease.record("request", b"{}")
        assert await store.renew(token, 60.0) == 1
        assert await store.recorded() == {"request": b"{}"}
        await store.forget("request")
        assert await store.renew(token, 60.0) == 0


@pytest.mark.parametrize("damaged", [b"\x01", b"", b"1a", b"9223372036854775807"])
async def test_a_damaged_count_of_holders_keeps_nobody_from_the_lease(
    redis_server: RedisServer, damaged: bytes
) -> None:
    with redis_server.client() as client:
        client.set(f"{PREFIX}epoch", damaged)
    async with opened(redis_server) as store:
        first, second = [await store.take(nonce * 32, 60.0) for nonce in "12"]
        assert isinstance(first, Taken)
        assert isinstance(second, Taken)
        assert second.epoch == first.epoch + 1


async def test_only_the_damaged_record_of_a_request_is_dropped(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store:
        await store.record("other", b"damaged")
        await store.record("request", b"damaged")
        await store.record("request", b"recorded meanwhile")
        await store.forget_damaged("request", b"damaged")
        assert await store.recorded() == {"other": b"damaged", "request": b"recorded meanwhile"}
        await store.forget_damaged("other", b"damaged")
        assert await store.recorded() == {"request": b"recorded meanwhile"}


async def test_everything_lives_its_time_from_its_last_use(redis_server: RedisServer) -> None:
    """But for a tenth of it, in which nothing is renewed that was just written or used."""
    moment = 5.0
    async with opened(redis_server, now=lambda: moment) as store:
        token = await token_of(store)
        await store.publish(token, [Publication(ONE, b"a")])
        await store.remember({Key("memory", "one"): b"memory", Key("memory", "old"): b"memory"}, [], [])
        with redis_server.client() as client:
            assert 990 < client.ttl(f"{PREFIX}answer:one") <= 1000
            assert 90 < client.ttl(f"{PREFIX}memory:one") <= 100
            for key in ("answer:one", "memory:one"):
                client.expire(PREFIX + key, 10)
            await store.read([ONE])
            await store.remember({}, [Key("memory", "one")], ["old"])
            assert client.ttl(f"{PREFIX}memory:one") <= 10
            moment += 10.0
            await store.remember({}, [Key("memory", "one")], [])
            assert client.ttl(f"{PREFIX}answer:one") > 990
            assert client.ttl(f"{PREFIX}memory:one") > 90
            assert not client.exists(f"{PREFIX}memory:old")
            assert all(key.startswith(PREFIX.encode()) for key in client.scan_iter())


async def test_a_full_redis_takes_no_records_but_keeps_lease_and_requests(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store, opened(redis_server, "pod-b") as other:
        token = await token_of(store)
        await store.publish(token, [Publication(ONE, b"before")])
        with redis_server.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 1)
            with pytest.raises(StoreUnavailable, match="full") as full:
                await store.publish(token, [Publication(OTHER, b"after")])
            assert full.value.reason == "RedisRefused"
            with pytest.raises(StoreUnavailable, match="full"):
                await store.remember({Key("memory", "one"): b"memory"}, [], [])
            assert await store.renew(token, 60.0) == 0
            await store.record("request", b"{}")
            assert await store.recorded() == {"request": b"{}"}
            await store.release(token)
            assert isinstance(await other.take("2" * 32, 60.0), Taken)
            client.config_set("maxmemory", 0)
        assert await store.read([ONE, OTHER]) == [b"before", None]


async def test_the_commands_told_are_those_that_are_used(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        rules = ["on", ">secret", f"~{PREFIX}*", "-@all", *(f"+{name}" for name in COMMANDS)]
        client.execute_command("ACL", "SETUSER", "tracker", *rules)
        client.execute_command("CONFIG", "RESETSTAT")
    url = redis_server.url.replace("redis://", "redis://tracker:secret@")
    async with opened(redis_server, url=url) as store:
        token = await token_of(store)
        assert isinstance(await store.take("2" * 32, 60.0), Taken)
        assert isinstance(await store.take("1" * 32, 60.0), Taken)
        await store.record("request", b"{}")
        assert await store.renew(token, 60.0) == 1
        await store.publish(token, [Publication(ONE, b"a")])
        await store.publish(token, [Publication(ONE, b"b")])
        await store.remember({Key("memory", "one"): b"memory"}, [ONE], ["none"])
        assert await store.read([ONE]) == [b"a"]
        assert await store.recorded() == {"request": b"{}"}
        await store.forget_damaged("request", b"damaged")
        await store.forget("request")
        async with opened(redis_server, "pod-b", url=url) as other:
            assert isinstance(await other.take("3" * 32, 60.0), HeldByAnother)
        await store.release(token)
    with redis_server.client() as client:
        assert client.execute_command("ACL", "LOG") == []
        used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    own = {"acl|log", "config|resetstat", "hello", "auth", "client|setinfo"}  # the test's, and signing in
    assert used - own == set(COMMANDS)


def test_the_operator_grants_what_agents_use() -> None:
    assert statestore.COMMANDS == COMMANDS
    page = (Path(__file__).parents[3] / "docs" / "agent.md").read_text(encoding="utf-8")
    assert f"needs the commands `{' '.join(COMMANDS).upper()}`" in page.replace("\n", " ")


@pytest.mark.parametrize(
    ("url", "reason", "words"),
    [
        ("redis://127.0.0.1:1/0", "RedisUnreachable", "cannot be reached"),
        ("redis://tracker:wrong@{server}", "RedisRefused", "user or password"),
    ],
)
async def test_trouble_has_a_reason_and_a_sentence_without_secrets(
    redis_server: RedisServer, url: str, reason: str, words: str
) -> None:
    address = redis_server.url.removeprefix("redis://")
    async with opened(redis_server, url=url.replace("{server}", address)) as store:
        with pytest.raises(StoreUnavailable, match=words) as trouble:
            await store.renew("token", 60.0)
    assert trouble.value.reason == reason
    assert "wrong" not in str(trouble.value)


async def test_a_replica_is_told_apart_from_other_refusals(redis_server: RedisServer) -> None:
    async with opened(redis_server) as store:
        token = await token_of(store)
        with redis_server.client() as client:
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(StoreUnavailable, match="is a replica") as trouble:
                await store.publish(token, [Publication(ONE, b"a")])
            assert trouble.value.reason == "RedisRefused"
            with pytest.raises(StoreUnavailable, match="is a replica"):
                await store.forget("request")
            client.replicaof("NO", "ONE")


async def test_a_refusal_of_one_read_of_several_names_redis_code_and_no_key(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server) as store:
        with redis_server.client() as client:
            client.lpush(f"{PREFIX}answer:one", "not a string")
        with pytest.raises(StoreUnavailable, match=r"^Redis refused a command \(WRONGTYPE\); see its log\.$"):
            await store.read([OTHER, ONE])


@pytest.mark.parametrize(
    "url",
    [
        "redis:6379/0",
        "redis://:secret/word@redis:6379/0",
        "redis://:secret@redis:6379/0?retries=secret",
        "redis://:secret@redis:6379/0?socket_timeout=secret",
    ],
)
def test_a_url_that_is_none_is_a_wrong_setting_and_is_not_shown(url: str) -> None:
    with pytest.raises(InvalidSettings, match="SAM2_AGENT_REDIS_URL") as wrong:
        connect(url, None)
    assert "secret" not in "".join(traceback.format_exception(wrong.value))
