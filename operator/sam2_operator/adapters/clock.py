"""The time of the machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """The port `Clock`."""

    def now(self) -> datetime:
        """Give the time of day, in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()
