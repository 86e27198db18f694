"""Keeps what answers slowly from occupying every thread, so that the rest goes on.

Threads are few and shared by all trackers. A dependency that hangs (a CVAT, a Redis, an agent) would take
one for each of its trackers, and with enough of them take all. So a dependency that was slow the last time,
or is slow right now, is asked by one thread at a time, and all such together by a few; whoever comes besides
is told so at once. The first quick answer makes it one like any other.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FORGET_SECONDS = 3600.0
"""After this long a dependency that nobody asked is like any other."""


class OccupiedError(Exception):
    """Enough threads wait already for this dependency, or for others that are as slow."""


@dataclass(slots=True)
class _Record:
    entered: list[float] = field(default_factory=list)
    """When each of the threads inside began."""
    slow_since: float | None = None


class Bulkhead:
    """Lets threads through to dependencies, known by their names; safe to use from several threads."""

    def __init__(
        self, monotonic: Callable[[], float], *, slow_seconds: float, slots: int, failures_only: bool = False
    ) -> None:
        """Take more than `slow_seconds` as slow; let `slots` threads wait for slow ones together.

        With `failures_only` a slow answer counts as well as a quick one, if it is an answer.
        """
        self._now, self._slow_seconds, self._slots = monotonic, slow_seconds, slots
        self._failures_only = failures_only
        self._lock = Lock()
        self._records: dict[str, _Record] = {}
        self._occupied = 0

    def is_suspect(self, name: str) -> bool:
        """Whether a dependency was slow the last time, or is so right now."""
        with self._lock:
            record = self._records.get(name)
            return record is not None and self._is_suspect(record, self._now())

    @contextmanager
    def passing(self, name: str) -> Iterator[None]:
        """Surround a question to a dependency.

        Raises:
            OccupiedError: it would have to wait with too many others; nothing was asked.
        """
        began, counted = self._enter(name)
        slow_if_answered = not self._failures_only
        failed = True
        try:
            yield
            failed = False
        finally:
            self._leave(name, began, counted=counted, counts_if_slow=failed or slow_if_answered)

    def _enter(self, name: str) -> tuple[float, bool]:
        now = self._now()
        with self._lock:
            record = self._records.setdefault(name, _Record())
            suspect = self._is_suspect(record, now)
            if suspect and (record.entered or self._occupied >= self._slots):
                raise OccupiedError(name)
            record.entered.append(now)
            self._occupied += suspect
        return now, suspect

    def _leave(self, name: str, began: float, *, counted: bool, counts_if_slow: bool) -> None:
        now = self._now()
        with self._lock:
            self._occupied -= counted
            record = self._records[name]
            record.entered.remove(began)
            slow = now - began >= self._slow_seconds and counts_if_slow
            record.slow_since = now if slow else None
            if not slow and not record.entered:
                del self._records[name]
            self._forget(now)

    def _is_suspect(self, record: _Record, now: float) -> bool:
        return record.slow_since is not None or any(
            now - began >= self._slow_seconds for began in record.entered
        )

    def _forget(self, now: float) -> None:
        old = [
            name
            for name, record in self._records.items()
            if not record.entered
            and record.slow_since is not None
            and now - record.slow_since > _FORGET_SECONDS
        ]
        for name in old:
            del self._records[name]
