"""When there is time for what nobody asked for yet.

A request that is being answered needs the model soon, also while it waits for Redis or a frame; so spare time
is when none is.  What runs in a turn must be short: a request that comes meanwhile waits for its end.

An answer that is ready goes first, too: work beside it would take the interpreter and cores from sending it.
But the network may be slow, and nothing is gained by waiting for it; so an answer has a head start, no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

HEAD_START_SECONDS = 0.005
"""Seconds: to send an answer takes less."""


class SpareTime:
    """Tells apart the time in which requests are answered and the rest, which it hands out in turns."""

    def __init__(self) -> None:
        self._busy = 0
        self._spare = asyncio.Event()
        self._spare.set()
        self._one = asyncio.Lock()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """A request is being answered inside."""
        self._busy += 1
        self._spare.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._spare.set()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Begin inside when there is time: one at a time, whoever came first."""
        async with self._one:
            while self._busy:
                await self._spare.wait()
            yield

    async def soon(self) -> None:
        """Return when there is time, or when an answer had its head start."""
        if self._busy:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEAD_START_SECONDS):
                    await self._spare.wait()


async def head_start(telling: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin to tell an answer; return when it is told, or had its head start."""
    task = asyncio.ensure_future(telling)
    try:
        await asyncio.wait({task}, timeout=HEAD_START_SECONDS)
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task
