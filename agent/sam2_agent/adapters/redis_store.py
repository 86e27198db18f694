"""The tracker's part of Redis (7.0 or later, or Valkey): lease, recorded requests, answers, memories.

Every key begins with the prefix, whose hash tag keeps them in one slot, so one script may touch them
together:

    <prefix>lease              token of the holder; expires
    <prefix>epoch              how many holders there were
    <prefix>requests           hash: request id -> recorded request
    <prefix>answer:<step>      written once
    <prefix>init:<request>     written once
    <prefix>memory:<step>      a cache

The commands used, for an ACL: GET, SET, DEL, UNLINK, EXISTS, INCR, PTTL, PEXPIRE, GETEX, HSET, HGETALL, HDEL,
HLEN, EVAL, EVALSHA, SCRIPT LOAD, PING.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from sam2_agent.core.ports import HeldByAnother, Key, Publication, Taken
from sam2_agent.errors import InvalidSettings, LeaseLost, StoreUnavailable

T = TypeVar("T")

NONCE_CHARACTERS = 32

# A full Redis (noeviction) must still let the lease live and change hands, and take the few requests in hand.
_TAKE = """#!lua flags=allow-oom
local standing = redis.call('GET', KEYS[1])
if standing and string.sub(standing, 33) ~= string.sub(ARGV[1], 33) then
  return {0, redis.call('PTTL', KEYS[1])}
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, redis.call('INCR', KEYS[2])}
"""

_RENEW = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HLEN', KEYS[2])
"""

_RELEASE = """#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
"""

_RECORD = """#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
"""

# KEYS: lease, records.  ARGV: token, milliseconds to live, then for each record its data and the bytes that
# it may replace.
# Gives for each record false where the data was written, else what stands.
_PUBLISH = """#!lua
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASELOST another holds the lease')
end
local standing = {}
for i = 2, #KEYS do
  local data, damaged = ARGV[2 * i - 1], ARGV[2 * i]
  local found = redis.call('GET', KEYS[i])
  if found and not (damaged ~= '' and found == damaged) then
    redis.call('PEXPIRE', KEYS[i], ARGV[2])
    standing[i - 1] = found
  else
    redis.call('SET', KEYS[i], data, 'PX', ARGV[2])
    standing[i - 1] = false
  end
end
return standing
"""


class RedisStore:
    """Redis as `sam2_agent.core.ports.Store`.

    `holder` names who takes leases: a process that takes over from one with the same holder need not wait.
    `on_answer` is called whenever Redis answered.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str,
        holder: str,
        state_seconds: int,
        memory_seconds: int,
        on_answer: Callable[[], None],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._holder = holder
        self._state_ms = state_seconds * 1000
        self._memory_ms = memory_seconds * 1000
        self._on_answer = on_answer
        self._lease = prefix + "lease"
        self._epoch = prefix + "epoch"
        self._requests = prefix + "requests"
        self._take = client.register_script(_TAKE)
        self._renew = client.register_script(_RENEW)
        self._release = client.register_script(_RELEASE)
        self._record = client.register_script(_RECORD)
        self._publish = client.register_script(_PUBLISH)

    async def take(self, nonce: str, seconds: float) -> Taken | HeldByAnother:
        """Take the lease if it is free or this holder's own; `nonce` makes the token."""
        if len(nonce) != NONCE_CHARACTERS:
            raise ValueError(f"a nonce has {NONCE_CHARACTERS} characters")
        token = nonce + self._holder
        taken, number = await self._ask(
            self._take(keys=[self._lease, self._epoch], args=[token, int(seconds * 1000)])
        )
        return Taken(token, number) if taken else HeldByAnother(max(0, number) / 1000)

    async def renew(self, token: str, seconds: float) -> int:
        """Let the lease live that long from now, and return how many requests are recorded."""
        recorded: int = await self._ask(
            self._renew(keys=[self._lease, self._requests], args=[token, int(seconds * 1000)])
        )
        if recorded < 0:
            raise LeaseLost("The lease in Redis is no longer this agent's.")
        return recorded

    async def release(self, token: str) -> None:
        """Give the lease up, if it is still held with this token."""
        await self._ask(self._release(keys=[self._lease], args=[token]))

    async def record(self, ar_id: str, data: bytes) -> None:
        """Record a request until it is answered; needs no lease."""
        await self._ask(self._record(keys=[self._requests], args=[ar_id, data]))

    async def recorded(self) -> dict[str, bytes]:
        """Return all recorded requests."""
        found = await self._ask(cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(self._requests)))
        return {ar_id.decode(): data for ar_id, data in found.items()}

    async def forget(self, ar_id: str) -> None:
        """Drop a recorded request."""
        await self._ask(self._client.hdel(self._requests, ar_id))

    async def read(self, keys: Sequence[Key]) -> list[bytes | None]:
        """Return the records and let them live anew."""
        if not keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.getex(self._name(key), px=self._life(key))
        return cast("list[bytes | None]", await self._ask(pipeline.execute()))

    async def publish(self, token: str, publications: Sequence[Publication]) -> list[bytes]:
        """Write each record unless one stands, all or none, and return what stands now."""
        arguments: list[str | int | bytes] = [token, self._state_ms]
        for publication in publications:
            arguments += [publication.data, publication.damaged]
        keys = [self._lease, *(self._name(publication.key) for publication in publications)]
        standing = await self._ask(self._publish(keys=keys, args=arguments))
        return [
            publication.data if found is None else found
            for publication, found in zip(publications, standing, strict=True)
        ]

    async def remember(self, memories: Mapping[str, bytes], used: Sequence[Key], gone: Sequence[str]) -> None:
        """Write memories by step name, let the records of `used` live anew, drop the memories of `gone`."""
        pipeline = self._client.pipeline(transaction=False)
        for name, data in memories.items():
            pipeline.set(self._name(Key("memory", name)), data, px=self._memory_ms)
        for key in used:
            pipeline.pexpire(self._name(key), self._life(key))
        if gone:
            pipeline.unlink(*(self._name(Key("memory", name)) for name in gone))
        await self._ask(pipeline.execute())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _name(self, key: Key) -> str:
        return f"{self._prefix}{key.kind}:{key.name}"

    def _life(self, key: Key) -> int:
        return self._memory_ms if key.kind == "memory" else self._state_ms

    async def _ask(self, answer: Awaitable[T]) -> T:
        """Wait for Redis; what goes wrong becomes a sentence."""
        try:
            result = await answer
        except ResponseError as error:
            if str(error).startswith("LEASELOST"):
                self._on_answer()
                raise LeaseLost("The lease in Redis is no longer this agent's.") from error
            raise StoreUnavailable(_refusal(error), reason="RedisRefused") from error
        except AuthenticationError as error:
            raise StoreUnavailable(_refusal(error), reason="RedisRefused") from error
        except (RedisError, OSError) as error:
            raise StoreUnavailable(
                f"Redis cannot be reached ({type(error).__name__}); "
                "check that it runs and that the agent's URL, network policy and CA are right.",
                reason="RedisUnreachable",
            ) from error
        finally:
            # Before Python 3.12 asyncio.wait_for, which redis-py uses, can swallow a cancellation.
            if (task := asyncio.current_task()) and task.cancelling():
                raise asyncio.CancelledError
        self._on_answer()
        return result


def connect(url: str, ca_file: Path | None) -> redis.Redis:
    """Make a client that answers or fails within seconds; whoever uses it does the retrying.

    Raises:
        InvalidSettings: the URL is none that redis-py understands; neither it nor any part of it is told.
    """
    # Says nothing of the cause: that quotes the URL, and a bad password may stand anywhere in it.
    wrong = InvalidSettings(
        "The URL of Redis (SAM2_AGENT_REDIS_URL or its file) cannot be understood; write it as "
        "redis://user:password@host:6379/0, special characters of the password percent-encoded."
    )
    if "://" not in url:  # redis-py would take "redis:6379" for a local one
        raise wrong
    options: dict[str, Any] = {"ssl_ca_certs": str(ca_file)} if ca_file and url.startswith("rediss:") else {}
    try:
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=3,
            socket_timeout=10,
            health_check_interval=30,
            retry=Retry(NoBackoff(), 0),
            **options,
        )
        # Finds unknown options of the URL; nothing is connected yet.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        raise wrong from None
    return client


def _refusal(error: RedisError) -> str:
    if isinstance(error, OutOfMemoryError):
        return "Redis is full; raise its maxmemory, or track fewer objects at once."
    if isinstance(error, ReadOnlyError):
        return "Redis takes no writes, for it is a replica; give the agent the primary's URL."
    if isinstance(error, NoPermissionError):
        return "Redis does not let the agent's user do what it must; grant what docs/agent.md lists."
    if isinstance(error, AuthenticationError):
        return "Redis does not accept the agent's user or password; check the Redis URL."
    return f"Redis refused a command ({str(error).split(' ', 1)[0]}); see its log."
