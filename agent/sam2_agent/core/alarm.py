"""Waiting for a moment or a call, whichever comes first."""

from __future__ import annotations

import asyncio

from sam2_agent.core.ports import Clock


class Alarm:
    """Wakes whoever waits, also when it rings just before the wait begins."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """End the wait that goes on, or the next one."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when it rings, or after that many seconds."""
        parts = {
            asyncio.ensure_future(self._rung.wait()),
            asyncio.ensure_future(self._clock.sleep(seconds)),
        }
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
        self._rung.clear()
