"""When the model has time for what nobody asked for yet.

A request that is being answered needs the model soon, also while it waits for Redis or a frame; so spare time
is when none is.  What runs in a turn must be short: a request that comes meanwhile waits for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


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
            await self._spare.wait()
            yield
