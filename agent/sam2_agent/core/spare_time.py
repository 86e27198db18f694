"""When there is time for what nobody asked for yet.

A request needs the model from when it comes until its last step is computed, also while it waits for Redis or
a frame; so spare time is when none does.  What runs in a turn must be short: a request that comes meanwhile
waits for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager


class SpareTime:
    """Tells apart the time in which requests need the model and the rest, which it hands out in turns."""

    def __init__(self) -> None:
        self._needs: set[object] = set()
        self._spare = asyncio.Event()
        self._spare.set()
        self._one = asyncio.Lock()

    @contextmanager
    def busy(self) -> Iterator[Callable[[], None]]:
        """A request needs the model inside, or until what is given is called."""
        need = object()

        def over() -> None:
            self._needs.discard(need)
            if not self._needs:
                self._spare.set()

        self._needs.add(need)
        self._spare.clear()
        try:
            yield over
        finally:
            over()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Begin inside when there is time: one at a time, whoever came first."""
        async with self._one:
            while self._needs:
                await self._spare.wait()
            yield
