"""The line of those who want to ask one CVAT: its courtesy, and our threads, are limited.

One request at a time for each account. A CVAT that was slow is asked by one account at a time, and a few slow
CVATs together by a few threads: whoever else comes is told so at once, and comes again later, so that the
trackers of other CVATs find a thread.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

from sam2_operator.adapters.cvat.restraint import Restraint
from sam2_operator.core.bulkhead import Bulkhead, OccupiedError
from sam2_operator.errors import NotAskedError, OthersFirstError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS = 5.0
"""How long a thread waits for others of its account, if CVAT is quick."""


class Line:
    """One account's place before one CVAT; safe to use from several threads."""

    def __init__(self, host: str, *, account: Restraint, shared: Restraint, bulkhead: Bulkhead) -> None:
        """Take what CVAT asked of the account, and what is shared by all accounts of that host."""
        self._host, self._restraints, self._bulkhead = host, (account, shared), bulkhead
        self._lock = RLock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the account for as long as it takes, without asking."""
        with self._lock:
            yield

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the account for several requests, or to see whether one is still needed.

        Raises:
            RateLimitedError: CVAT asked to wait.
            NotAskedError: it was slow a moment ago, or others wait for it already.
        """
        self._require_leave()
        patience = 0 if self._bulkhead.is_suspect(self._host) else _PATIENCE_SECONDS
        if not self._lock.acquire(timeout=patience):
            raise self._not_asked()
        try:
            self._require_leave()  # another thread may have learned something meanwhile
            yield
        finally:
            self._lock.release()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Surround a request; raises what `turn` does, and nothing was sent then."""
        account, shared = self._restraints
        with self.turn():
            try:
                with account.noting(), shared.noting(), self._bulkhead.passing(self._host):
                    yield
            except OccupiedError as error:
                raise self._not_asked() from error

    def _require_leave(self) -> None:
        for restraint in self._restraints:
            restraint.require_leave()

    def _not_asked(self) -> NotAskedError:
        """Say why nothing was sent, in the words of the last time if it went wrong then."""
        words = next((each for each in (r.last_words() for r in self._restraints) if each), None)
        if words:
            return NotAskedError(words)
        return OthersFirstError(
            f"CVAT at {self._host} answers slowly; it is asked again when others were answered."
        )
