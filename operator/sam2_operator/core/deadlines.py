"""Until when the end of a tracker is tried."""

from __future__ import annotations

from datetime import datetime, timedelta
from threading import Lock

LEAST_TRIED = timedelta(seconds=60)
"""How long a process tries before it lets go, also where the deadline passed while no operator ran."""


class Deadlines:
    """When this process first tried to end each tracker; safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._began: dict[str, datetime] = {}

    def of(self, uid: str, asked: datetime, patience: timedelta, now: datetime) -> datetime:
        """Give when a tracker is let go whose end was asked for then."""
        with self._lock:
            began = self._began.setdefault(uid, now)
        return max(asked + patience, began + min(patience, LEAST_TRIED))

    def forget(self, uid: str) -> None:
        """Drop what is known about a tracker."""
        with self._lock:
            self._began.pop(uid, None)
