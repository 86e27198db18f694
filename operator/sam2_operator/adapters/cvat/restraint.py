"""When a CVAT may be asked again: not while it asks to wait, and not at once where it was slow to fail.

Many trackers share an account, and accounts a CVAT. Each of them may be woken at any time, and would ask; and
each would wait in vain for as long as the one before.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.errors import CvatError, CvatUnreachableError, NotAskedError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sam2_operator.core.ports import Clock

_QUIET_SECONDS = 30.0
"""How long a CVAT that was slow to fail is left alone."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    words: str
    until: float
    asked_to_wait: bool


class Restraint:
    """Remembers why a CVAT is not asked now; safe to use from several threads."""

    def __init__(self, clock: Clock, *, slow_seconds: float | None = None) -> None:
        """Heed requests to wait, which go to an account; or, of a server, failures that took that long."""
        self._clock, self._slow_seconds = clock, slow_seconds
        self._trouble: _Trouble | None = None

    def require_leave(self) -> None:
        """Let whoever may ask go on.

        Raises:
            RateLimitedError: CVAT asked to wait.
            NotAskedError: it was slow to fail a moment ago.
        """
        trouble = self._trouble
        left = 0.0 if trouble is None else trouble.until - self._clock.monotonic()
        if trouble is None or left <= 0:
            return
        # The same words: a status that counted down would be a write each time.
        if trouble.asked_to_wait:
            raise RateLimitedError(trouble.words, retry_after=left)
        raise NotAskedError(trouble.words)

    def last_words(self) -> str | None:
        """Give what was wrong the last time, if it was."""
        trouble = self._trouble
        return None if trouble is None else trouble.words

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Surround a request, and remember what comes of it."""
        began = self._clock.monotonic()
        try:
            yield
        except CvatError as error:
            self._trouble = self._trouble_of(error, began)
            raise
        self._trouble = None

    def _trouble_of(self, error: CvatError, began: float) -> _Trouble | None:
        now = self._clock.monotonic()
        if self._slow_seconds is None:
            if not isinstance(error, RateLimitedError):
                return None
            return _Trouble(str(error), now + error.retry_after, asked_to_wait=True)
        silent = isinstance(error, CvatUnreachableError) and now - began >= self._slow_seconds
        return _Trouble(str(error), now + _QUIET_SECONDS, asked_to_wait=False) if silent else None
