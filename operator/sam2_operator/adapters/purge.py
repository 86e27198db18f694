"""Deletes all keys of a prefix, a bounded time at a go.

SCAN and UNLINK leave Redis to others between two commands, and that a go ends leaves the operator's thread to
others, however many keys there are to look through. The next go continues where the last one ended.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

_SCAN_COUNT = 500
_MAX_CURSORS = 256


class Purge:
    """Remembers how far the purge of each prefix got; safe to use from several threads."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._lock = Lock()
        self._cursors: dict[tuple[str, str], int] = {}

    def go(self, where: str, client: redis.Redis, prefix: str) -> bool:
        """Delete keys that begin with the prefix; give whether all of Redis was looked through.

        `where` tells one Redis from another.

        Raises:
            redis.RedisError: Redis does not do it; the next go begins anew.
        """
        with self._lock:
            cursor = self._cursors.pop((where, prefix), 0)
        until = self._monotonic() + self._seconds
        while True:
            cursor, keys = client.scan(cursor, match=f"{_literal(prefix)}*", count=_SCAN_COUNT)
            if keys:
                client.unlink(*keys)
            if cursor == 0:
                return True
            if self._monotonic() >= until:
                break
        with self._lock:
            self._cursors[where, prefix] = cursor
            if len(self._cursors) > _MAX_CURSORS:  # of trackers that were let go in the middle
                del self._cursors[next(iter(self._cursors))]
        return False


def _literal(prefix: str) -> str:
    """Escape what SCAN would read as a pattern."""
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in prefix)
