"""The tracker's part of Redis (7.0 or later, or Valkey): lease, recorded requests, answers, memories.

Every key begins with the prefix, whose hash tag keeps them in one slot, so one script may touch them
together:

    <prefix>lease              token of the holder; expires
    <prefix>epoch              how many holders there were
    <prefix>requests           hash: request id -> recorded request
    <prefix>answer:<step>      written once
    <prefix>init:<request>:<digest>   written once; the digest is of what the request asks for
    <prefix>memory:<step>      a cache
    <prefix>link:<step>        how to go on from a step of which only the name is known (`core.chain`)

`COMMANDS` are all that it takes.

A full Redis (noeviction) still lets the lease live and change hands and takes the few requests in hand; for
answers the store makes room by dropping memories of its own, which are a cache.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar, cast

import redis.asyncio as redis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from sam2_agent.adapters import redis_scripts
from sam2_agent.adapters.redis_connection import refusal
from sam2_agent.adapters.redis_freshness import Freshness
from sam2_agent.core.ports import HeldByAnother, Key, Publication, Taken
from sam2_agent.errors import LeaseLost, StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

COMMANDS = (
    *("get", "set", "del", "incr", "pttl", "pexpire", "getex"),
    *("hset", "hgetall", "hdel", "hlen"),
    *("evalsha", "script|load"),
)
"""What an ACL must grant on the prefix's keys; and `select`, where the URL names another database than 0."""

NONCE_CHARACTERS = 32

_BYTES = "surrogateescape"
"""How a damaged request id is read and named again, though it is no text."""

MEMORIES_KNOWN = 10_000
"""Of so many memories the store knows that they may be in Redis; they are 5 GB for the published models."""


class RedisStore:
    """Redis as `sam2_agent.core.ports.Store`.

    `holder` names who takes leases: a process that takes over from one with the same holder need not wait.
    `on_answer` is called whenever Redis answered, `on_dropped` with the number of memories that had to make
    room for answers; where they are no cache (`memories_are_cache`) none has to.  `now` gives seconds.
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
        on_dropped: Callable[[int], None] = lambda _: None,
        memories_are_cache: bool = True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._holder = holder
        self._state_ms = state_seconds * 1000
        self._memory_ms = memory_seconds * 1000
        self._on_answer = on_answer
        self._on_dropped = on_dropped
        self._memories_are_cache = memories_are_cache
        self._freshness = Freshness(now)
        self._memories: OrderedDict[str, None] = OrderedDict()  # names, used longest ago first
        self._lease = prefix + "lease"
        self._epoch = prefix + "epoch"
        self._requests = prefix + "requests"
        self._take = client.register_script(redis_scripts.TAKE)
        self._renew = client.register_script(redis_scripts.RENEW)
        self._release = client.register_script(redis_scripts.RELEASE)
        self._record = client.register_script(redis_scripts.RECORD)
        self._forget_damaged = client.register_script(redis_scripts.FORGET_DAMAGED)
        self._publish = client.register_script(redis_scripts.PUBLISH)

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
        return {ar_id.decode(errors=_BYTES): data for ar_id, data in found.items()}

    async def forget(self, ar_id: str) -> None:
        """Drop a recorded request."""
        await self._ask(self._client.hdel(self._requests, ar_id))

    async def forget_damaged(self, ar_id: str, data: bytes) -> None:
        """Drop a recorded request that is exactly these bytes, which cannot be read."""
        await self._ask(self._forget_damaged(keys=[self._requests], args=[ar_id.encode(errors=_BYTES), data]))

    async def read(self, keys: Sequence[Key]) -> list[bytes | None]:
        """Return the records and let them live anew."""
        if not keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.getex(self._name(key), px=self._life(key))
        records = cast("list[bytes | None]", await self._ask(pipeline.execute()))
        self._freshness.renewed(map(self._name, keys))
        self._know(key for key, record in zip(keys, records, strict=True) if record is not None)
        return records

    async def publish(self, token: str, publications: Sequence[Publication]) -> list[bytes]:
        """Write each record unless one stands, all or none, and return what stands now.

        Where Redis is full, memories make room for them: those used longest ago first, twice as many each
        time that it is not enough.
        """
        count = len(publications)
        while True:
            try:
                return await self._publish_once(token, publications)
            except StoreUnavailable as trouble:
                if not isinstance(trouble.__cause__, OutOfMemoryError) or not await self._make_room(count):
                    raise
            count *= 2

    async def _publish_once(self, token: str, publications: Sequence[Publication]) -> list[bytes]:
        arguments: list[str | int | bytes] = [token, self._state_ms]
        for publication in publications:
            arguments += [publication.data, publication.damaged]
        keys = [self._lease, *(self._name(publication.key) for publication in publications)]
        standing = await self._ask(self._publish(keys=keys, args=arguments))
        self._freshness.renewed(keys[1:])
        return [
            publication.data if found is None else found
            for publication, found in zip(publications, standing, strict=True)
        ]

    async def remember(
        self, records: Mapping[Key, bytes], used: Sequence[Key], gone: Sequence[str]
    ) -> list[Key]:
        """Write memories and links, let the records of `used` live anew, drop the memories of `gone`.

        Returns those of `used` that there are no more.  Where memories are a cache, only those are looked at
        that have lived a part of their life.

        What goes goes first: where Redis is almost full, its room is needed.
        """
        looked_at = self._stale(used) if self._memories_are_cache else used
        pipeline = self._client.pipeline(transaction=False)
        if gone:
            pipeline.delete(*(self._name(Key("memory", name)) for name in gone))
        for key, data in records.items():
            pipeline.set(self._name(key), data, px=self._life(key))
        for key in looked_at:
            pipeline.pexpire(self._name(key), self._life(key))
        for name in gone:
            self._memories.pop(name, None)
        self._know(used)
        self._know(records)  # before asking: a failure may come too late
        replies = await self._ask(pipeline.execute())
        self._freshness.renewed(self._name(key) for key in (*records, *looked_at))
        return [key for key, lives in zip(reversed(looked_at), reversed(replies), strict=False) if not lives]

    def _stale(self, keys: Sequence[Key]) -> list[Key]:
        named = {self._name(key): key for key in keys}
        lives = {name: self._life(key) / 1000 for name, key in named.items()}
        return [named[name] for name in self._freshness.stale(lives)]

    def _know(self, keys: Iterable[Key]) -> None:
        """Note memories that may be in Redis, as the ones used last."""
        for key in keys:
            if key.kind == "memory":
                self._memories[key.name] = None
                self._memories.move_to_end(key.name)
        while len(self._memories) > MEMORIES_KNOWN:
            self._memories.popitem(last=False)

    async def _make_room(self, count: int) -> bool:
        """Drop that many memories, or what there is; return whether there were any."""
        if not self._memories_are_cache:
            return False
        names = [self._memories.popitem(last=False)[0] for _ in range(min(count, len(self._memories)))]
        if names:
            log.warning("Redis is full; memories make room for answers", extra={"memories": len(names)})
            self._on_dropped(len(names))
            await self._ask(self._client.delete(*(self._name(Key("memory", name)) for name in names)))
        return bool(names)

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
            if isinstance(error, ReadOnlyError | MasterDownError):
                # The address may lead to the new primary already; open connections stay with the old one.
                await self._client.connection_pool.disconnect(inuse_connections=False)
            raise StoreUnavailable(refusal(error), reason="RedisRefused") from error
        except AuthenticationError as error:
            raise StoreUnavailable(refusal(error), reason="RedisRefused") from error
        except BusyLoadingError as error:
            raise StoreUnavailable(
                "Redis is loading its data from disk; the agent waits for it.", reason="RedisUnreachable"
            ) from error
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
