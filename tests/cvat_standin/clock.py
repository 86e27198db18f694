"""The server's time: real seconds plus those that a test added.

Everything timed (hand-outs again, late lists, stalls, keep-alives) asks this clock, so that a test moves time
forward instead of sleeping, and a server that runs as a pod needs nobody to move it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """Seconds since the server started, and the dates that go with them."""

    def __init__(
        self, *, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._monotonic = monotonic
        self._origin = monotonic()
        self._started = datetime.fromtimestamp(wall(), UTC)
        self._added = 0.0
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Seconds since the start, the added ones included."""
        return self._monotonic() - self._origin + self._added

    def date(self) -> datetime:
        """The current date, in UTC."""
        return self.date_at(self.now())

    def date_at(self, instant: float) -> datetime:
        """The date of an instant that `now` returned."""
        return self._started + timedelta(seconds=instant)

    def advance(self, seconds: float) -> None:
        """Move time forward and wake whoever sleeps on this clock; call it in the server's event loop."""
        self._added += seconds
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def sleep_until(self, instant: float) -> None:
        """Return once `now() >= instant`."""
        while (remaining := instant - self.now()) > 0:
            try:
                await asyncio.wait_for(self._moved.wait(), remaining)
            except TimeoutError:
                continue
