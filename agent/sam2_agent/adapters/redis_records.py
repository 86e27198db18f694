"""Records in a Redis, or in what only speaks like one, without lease and without scripts.

For Nuclio, where nobody says how many workers there are: answers are written once, so any number of them give
the same.  `SET` with `NX` decides; `WATCH` where a damaged record is replaced.  CVAT keeps the states of its
functions in a Kvrocks, whose scripts are not Redis' in all details: here are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import redis.asyncio as redis
from redis.exceptions import RedisError, ResponseError, WatchError

from sam2_agent.adapters.redis_connection import refusal
from sam2_agent.core.ports import Key, Publication
from sam2_agent.errors import StoreUnavailable


class RedisRecords:
    """Redis as `sam2_agent.core.ports.Records`; all that it keeps lives `seconds` after its last use."""

    def __init__(self, client: redis.Redis, *, prefix: str, seconds: int) -> None:
        self._client = client
        self._prefix = prefix
        self._life = seconds * 1000

    async def read(self, keys: Sequence[Key]) -> list[bytes | None]:
        """Return the records and let them live anew."""
        if not keys:
            return []
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.get(self._name(key))
        for key in keys:
            pipeline.pexpire(self._name(key), self._life)
        try:
            found: list[bytes | None] = (await pipeline.execute())[: len(keys)]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return found

    async def publish(self, _token: str, publications: Sequence[Publication]) -> list[bytes]:
        """Write each record unless one stands, and return what stands now.

        Not all or none: nothing goes on from a step before all of a call were published.
        """
        try:
            return [await self._publish(each) for each in publications]
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error

    async def remember(
        self, records: Mapping[Key, bytes], used: Sequence[Key], gone: Sequence[str]
    ) -> list[Key]:
        """Write memories and links, let the records of `used` live anew, drop the memories of `gone`.

        Returns those of `used` that there are no more.
        """
        pipeline = self._client.pipeline(transaction=False)
        if gone:
            pipeline.delete(*(self._name(Key("memory", name)) for name in gone))
        for key, data in records.items():
            pipeline.set(self._name(key), data, px=self._life)
        for key in used:
            pipeline.pexpire(self._name(key), self._life)
        try:
            replies = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return [key for key, lives in zip(reversed(used), reversed(replies), strict=False) if not lives]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _publish(self, publication: Publication) -> bytes:
        name = self._name(publication.key)
        while not await self._client.set(name, publication.data, px=self._life, nx=True):
            [standing] = await self.read([publication.key])
            if standing and standing != publication.damaged:
                return standing
            if standing is not None:  # else it ended in between
                await self._remove(name, standing)
        return publication.data

    async def _remove(self, name: str, damaged: bytes) -> None:
        """Remove a record that is still these bytes."""
        async with self._client.pipeline(transaction=True) as pipeline:
            await pipeline.watch(name)
            if await pipeline.get(name) != damaged:
                return
            pipeline.multi()  # type: ignore[no-untyped-call]
            pipeline.delete(name)
            try:
                await pipeline.execute()
            except WatchError:
                return

    def _name(self, key: Key) -> str:
        return f"{self._prefix}{key.kind}:{key.name}"


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, ResponseError):
        return StoreUnavailable(refusal(error), reason="RedisRefused")
    return StoreUnavailable(
        f"Redis cannot be reached ({type(error).__name__}); look at CVAT_FUNCTIONS_REDIS_HOST and its port.",
        reason="RedisUnreachable",
    )
