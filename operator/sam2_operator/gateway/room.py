"""How much is held in memory at once: calls wait for room in the order in which they came.

A body stays in memory until its call is answered, for the agent may be replaced in the middle, and it is sent
again. Who waits has sent no more than what fits into the buffers of its connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sam2_operator.gateway.errors import BusyError


@dataclass(slots=True)
class Room:
    """Used from one event loop."""

    max_bytes: int
    max_waiting: int
    max_calls_per_tracker: int
    held: int = 0
    """Bytes of the calls in hand."""
    waiting: int = 0
    _calls: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def calls(self) -> int:
        """How many calls are in hand."""
        return self._calls.total()

    @asynccontextmanager
    async def taken(self, tracker: str, length: int, patience: float) -> AsyncIterator[None]:
        """Wait for room at most so many seconds, and hold it.

        Raises:
            BusyError: there is none, and too many wait, or it took too long.
        """
        await self._wait(tracker, length, patience)
        self._calls[tracker] += 1
        self.held += length
        try:
            yield
        finally:
            self._calls[tracker] -= 1
            if not self._calls[tracker]:
                del self._calls[tracker]
            self.held -= length
            async with self._changed:
                self._changed.notify_all()

    async def _wait(self, tracker: str, length: int, patience: float) -> None:
        if self._fits(tracker, length):
            return
        if self.waiting >= self.max_waiting:
            raise BusyError(self._sentence())
        self.waiting += 1
        try:
            async with asyncio.timeout(patience), self._changed:
                await self._changed.wait_for(lambda: self._fits(tracker, length))
        except TimeoutError:
            raise BusyError(self._sentence()) from None
        finally:
            self.waiting -= 1

    def _fits(self, tracker: str, length: int) -> bool:
        if not self.calls:
            return True
        return self.held + length <= self.max_bytes and self._calls[tracker] < self.max_calls_per_tracker

    def _sentence(self) -> str:
        return f"{self.calls} calls with {self.held >> 20} MiB are in hand already; run again in a moment."
