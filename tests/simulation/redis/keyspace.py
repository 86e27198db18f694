"""Keys, values and their expiry, and the log from which a restart reads them back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

Hash: TypeAlias = Mapping[bytes, bytes]
Value: TypeAlias = bytes | Hash
"""Never changed in place: so the log and snapshots may share values."""

LOG_SECONDS = 300.0
"""How far back `Keyspace.lose_since` can go."""


class Entry(NamedTuple):
    """A value, and the millisecond after which it is gone; None lives for ever."""

    value: Value
    expires: int | None


Snapshot: TypeAlias = Mapping[bytes, Entry]


class Keyspace:
    """What the server holds; `used` counts the bytes of keys and values."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[bytes, Entry] = {}
        self._log: deque[tuple[float, bytes, Entry | None]] = deque()
        self.used = 0

    def milliseconds(self) -> int:
        """The time as Redis counts it."""
        return int(self._now() * 1000)

    def get(self, key: bytes) -> Entry | None:
        """Return what stands under a key and has not expired."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires is not None and self.milliseconds() > entry.expires:
            self._put(key, None)
            return None
        return entry

    def put(self, key: bytes, entry: Entry | None) -> None:
        """Write under a key, or with None remove it, and log what stood there."""
        now = self._now()
        self._log.append((now, key, self._entries.get(key)))
        while self._log[0][0] < now - LOG_SECONDS:
            self._log.popleft()
        self._put(key, entry)

    def living(self) -> list[bytes]:
        """All keys that have not expired, oldest first."""
        return [key for key in tuple(self._entries) if self.get(key)]

    def snapshot(self) -> Snapshot:
        """Return all that is there now."""
        return dict(self._entries)

    def restore(self, snapshot: Snapshot) -> None:
        """Hold what the snapshot held, and nothing else."""
        self._entries = dict(snapshot)
        self._log.clear()
        self.used = sum(_size(key, entry) for key, entry in self._entries.items())

    def lose_since(self, moment: float) -> None:
        """Undo what was written at `moment` or later."""
        while self._log and self._log[-1][0] >= moment:
            _, key, before = self._log.pop()
            self._put(key, before)

    def _put(self, key: bytes, entry: Entry | None) -> None:
        before = self._entries.get(key)
        if before is not None:
            self.used -= _size(key, before)
        if entry is not None:
            self.used += _size(key, entry)
            self._entries[key] = entry
        elif before is not None:
            del self._entries[key]


def _size(key: bytes, entry: Entry) -> int:
    value = entry.value
    if isinstance(value, bytes):
        return len(key) + len(value)
    return len(key) + sum(len(name) + len(held) for name, held in value.items())
