"""redis-py's client, its connections replaced by a simulation's network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import redis.asyncio as redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from tests.simulation.redis.replies import Reply
from tests.simulation.redis.server import SimRedis

Carry = Callable[[Callable[[], Reply]], Awaitable[Reply]]
"""Carries one command to the server and its reply back, with whatever happens on the way.

It may raise redis-py's `ConnectionError` or `TimeoutError` before or after calling what it is given.
"""

_POOL: redis.ConnectionPool = redis.ConnectionPool(protocol=2)  # no connection is ever made


class SimRedisClient(redis.Redis):
    """Everything of redis-py but the connection: how commands are written, replies read and errors raised."""

    def __init__(self, server: SimRedis, carry: Carry) -> None:
        super().__init__(connection_pool=_POOL)
        self._server = server
        self._carry = carry

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry one command."""
        reply = await self._carry(lambda: self._server.execute(*args))
        options.pop("keys", None)
        callback = cast("Callable[..., Any] | None", self.response_callbacks.get(args[0]))
        return callback(reply, **options) if callback else reply

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline whose commands are carried one after the other; it must not be a transaction."""
        if transaction:
            raise NotImplementedError("the simulated Redis knows no transactions")
        return _SimPipeline(self, shard_hint)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Do nothing: there is no connection."""


class _SimPipeline(Pipeline):
    """Carries its commands one after the other.

    Like redis-py's: an error reply stops no other command and is raised at the end, a broken connection is
    raised at once. What would come after it is not done.
    """

    def __init__(self, client: SimRedisClient, shard_hint: str | None) -> None:
        super().__init__(_POOL, client.response_callbacks, transaction=False, shard_hint=shard_hint)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack, self.command_stack = self.command_stack, []
        replies: list[Any] = []
        for arguments, options in stack:
            try:
                replies.append(await self._client.execute_command(*arguments, **options))
            except ResponseError as error:
                replies.append(error)
        if raise_on_error:
            self.raise_first_error(stack, replies)
        return replies
