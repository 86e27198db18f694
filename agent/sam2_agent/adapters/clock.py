"""Real time."""

from __future__ import annotations

import asyncio
import time


class BootClock:
    """Seconds since the machine started, those in which it was suspended included: Redis counts those too."""

    def now(self) -> float:
        """Seconds since some moment; they pass also while the process is stopped."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        await asyncio.sleep(seconds)
