"""The simulated Redis answers like the real one: single commands, any script, and the agent's store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest
import redis.asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core.ports import HeldByAnother, Key, Publication
from sam2_agent.errors import AgentError
from tests.redis_server import RedisServer
from tests.simulation.redis.client import SimRedisClient
from tests.simulation.redis.pair import HOUR, Outcome, Pair
from tests.simulation.redis.replies import Reply

pytestmark = pytest.mark.slow

Operation: TypeAlias = tuple[Any, ...]

LIVES = st.integers(0, 4).map(lambda hours: hours * HOUR * 1000 + HOUR * 500)
ODD_LIVES = st.sampled_from([0, -1, "soon", "", " 5", "1.5", 2**70])
KEYS = st.sampled_from([b"a", b"b", b"h"])
WORDS = st.sampled_from([b"", b"x", b"7", b"-1", b"007", b"9223372036854775807", b"\x00\xff"])

SCRIPTS = [
    "return {1, 'a', false, 3.7, true, -2.5, nil, 5}",
    "return redis.call('GET', KEYS[1])",
    "#!lua\nreturn redis.call('SET', KEYS[1], ARGV[1])",
    (
        "#!lua flags=allow-oom\nlocal ok = redis.call('SET', KEYS[1], ARGV[1], 'PX', 1.8e6) "
        "return {ok, redis.call('INCR', KEYS[1])}"
    ),
    (
        "redis.call('PEXPIRE', KEYS[1], 5.4e6) redis.call('SET', KEYS[2], 'x') "
        "return redis.call('HGETALL', KEYS[1])"
    ),
    "local r = redis.pcall('INCR', KEYS[1]) if type(r) == 'table' then return 'caught' end return r",
    "return redis.error_reply('WHY so')",
    "return redis.status_reply('FINE')",
    "return #KEYS .. ' ' .. #ARGV .. tostring(redis.call('EXISTS', KEYS[1]))",
]


ODD_COMMANDS: list[Operation] = [
    ("PING",),
    ("GET",),
    ("SET", "a"),
    ("HSET", "h", "x"),
    ("HDEL", "h"),
    ("INCR", "a", 1),
    ("EVAL", SCRIPTS[0], 3, "a"),
    ("EVALSHA", "0" * 40, 0),
    ("SCRIPT LOAD", "return 1"),
]


def commands() -> SearchStrategy[Operation]:
    """Commands with their options, right and wrong."""
    lives = LIVES | ODD_LIVES
    single = st.sampled_from(["GET", "PTTL", "INCR", "HGETALL", "HLEN", "EXISTS", "DEL", "UNLINK", "GETEX"])
    script = st.sampled_from(SCRIPTS)
    return st.one_of(
        st.tuples(single, KEYS),
        st.tuples(st.just("SET"), KEYS, WORDS),
        st.tuples(st.just("SET"), KEYS, WORDS, st.sampled_from(["PX", "px", "PY"]), lives),
        st.tuples(st.just("GETEX"), KEYS, st.just("PX"), lives),
        st.tuples(st.just("PEXPIRE"), KEYS, lives),
        st.tuples(st.sampled_from(["DEL", "UNLINK", "EXISTS"]), KEYS, KEYS),
        st.tuples(st.just("HSET"), KEYS, WORDS, WORDS),
        st.tuples(st.just("HSET"), KEYS, WORDS, WORDS, WORDS, WORDS),
        st.tuples(st.just("HDEL"), KEYS, WORDS, WORDS),
        st.tuples(st.just("EVAL"), script, st.just(2), KEYS, KEYS, WORDS),
        st.sampled_from(ODD_COMMANDS),
    )


def events() -> SearchStrategy[Operation]:
    """What happens to a server."""
    return st.one_of(
        st.tuples(st.just("pass_hours"), st.integers(1, 3)),
        st.tuples(st.just("fill"), st.booleans()),
        st.just(("restart",)),
    )


def happen(pair: Pair, event: Operation) -> bool:
    """Let an event happen to both; return whether it was one."""
    match event:
        case ("pass_hours", hours):
            pair.pass_hours(hours)
        case ("fill", full):
            pair.fill(full=full)
        case ("restart",):
            pair.restart()
        case _:
            return False
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@settings(max_examples=500, deadline=None)
@given(st.lists(commands() | commands() | commands() | events(), max_size=30))
def test_single_commands_and_any_script(server: RedisServer, operations: list[Operation]) -> None:
    pair = Pair(server)
    try:
        for operation in operations:
            if not happen(pair, operation):
                real, simulated = pair.both(*operation)
                assert simulated == real, operation
        real_data, simulated_data = pair.remaining()
        assert simulated_data == real_data
    finally:
        pair.close()


NONCES = ["1" * 32, "2" * 32]
HOLDERS = ["one", "two"]
TOKENS = st.sampled_from([nonce + holder for nonce in NONCES for holder in HOLDERS])
RECORDS = st.builds(Key, st.sampled_from(["answer", "memory", "link", "init"]), st.sampled_from(["s", "t"]))
DATA = st.sampled_from([b"1", b"22", b"\xff"])
IDS = st.sampled_from(["r1", "r2"])
HOURS = st.integers(0, 2).map(lambda hours: hours * HOUR + HOUR / 2)


def store_calls() -> SearchStrategy[Operation]:
    """Calls of the agent's store by one of two holders."""
    publication = st.builds(Publication, RECORDS, DATA, st.just(b"") | DATA)
    call = st.one_of(
        st.tuples(st.just("take"), st.sampled_from(NONCES), HOURS),
        st.tuples(st.just("renew"), TOKENS, HOURS),
        st.tuples(st.just("release"), TOKENS),
        st.tuples(st.just("publish"), TOKENS, st.lists(publication, max_size=3)),
        st.tuples(st.just("record"), IDS, DATA),
        st.tuples(st.just("recorded")),
        st.tuples(st.just("forget"), IDS),
        st.tuples(st.just("read"), st.lists(RECORDS, max_size=3)),
        st.tuples(
            st.just("remember"),
            st.dictionaries(
                st.builds(Key, st.sampled_from(["memory", "link"]), st.sampled_from(["s", "t"])), DATA
            ),
            st.lists(RECORDS, max_size=2),
            st.lists(st.sampled_from(["s", "t"]), max_size=2),
        ),
    )
    return st.tuples(st.sampled_from(HOLDERS), call)


def stores(client: redis.asyncio.Redis) -> dict[str, RedisStore]:
    """The store of each holder."""
    return {
        holder: RedisStore(
            client,
            prefix="s2t:{u}:",
            holder=holder,
            state_seconds=2 * HOUR + HOUR // 2,
            memory_seconds=HOUR // 2,
            on_answer=lambda: None,
        )
        for holder in HOLDERS
    }


async def called(stores: dict[str, RedisStore], holder: str, call: Operation) -> Outcome:
    """Return what came of a call."""
    name, *arguments = call
    try:
        result = await getattr(stores[holder], name)(*arguments)
    except AgentError as error:
        return type(error).__name__, str(error)
    if isinstance(result, HeldByAnother):
        return "result", replace(result, left=round(result.left / HOUR, 1))
    return "result", result


@settings(max_examples=250, deadline=None)
@given(st.lists(store_calls() | store_calls() | store_calls() | events(), max_size=30))
def test_the_agents_store(server: RedisServer, operations: list[Operation]) -> None:
    async def compare() -> None:
        pair = Pair(server)
        client = redis.asyncio.Redis.from_url(server.url)
        real, simulated = stores(client), stores(SimRedisClient(pair.sim, _at_once))
        try:
            for operation in operations:
                if not happen(pair, operation):
                    assert await called(simulated, *operation) == await called(real, *operation), operation
            real_data, simulated_data = pair.remaining()
            assert simulated_data == real_data
        finally:
            await client.aclose()
            pair.close()

    asyncio.run(compare())


async def _at_once(attempt: Any) -> Reply:
    reply: Reply = attempt()
    return reply
