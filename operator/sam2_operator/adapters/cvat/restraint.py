"""When a CVAT may be asked again: not while it asks to wait, and not at once where it was slow to fail.

Many trackers share an account. Each of them may be woken at any time, and would ask; and each would wait in
vain for as long as the one before.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sam2_operator.errors import CvatUnreachableError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sam2_operator.core.ports import Clock

_QUIET_SECONDS = 30.0
"""How long a CVAT that was slow to fail is left alone."""


class Restraint:
    """Remembers why a CVAT is not asked now; for one request at a time."""

    def __init__(self, clock: Clock, slow_seconds: float) -> None:
        self._clock, self._slow_seconds = clock, slow_seconds
        self._until = 0.0
        self._why: CvatUnreachableError | RateLimitedError | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Surround a request.

        Raises:
            RateLimitedError: CVAT asked to wait; nothing was sent.
            CvatUnreachableError: it was slow to fail a moment ago; nothing was sent.
        """
        began = self._clock.monotonic()
        left = self._until - began
        if self._why is not None and left > 0:
            raise _again(self._why, left)
        self._why = None
        try:
            yield
        except RateLimitedError as error:
            self._remember(error, error.retry_after)
            raise
        except CvatUnreachableError as error:
            if self._clock.monotonic() - began >= self._slow_seconds:
                self._remember(error, _QUIET_SECONDS)
            raise

    def _remember(self, why: CvatUnreachableError | RateLimitedError, seconds: float) -> None:
        self._why, self._until = why, self._clock.monotonic() + seconds


def _again(
    why: CvatUnreachableError | RateLimitedError, left: float
) -> CvatUnreachableError | RateLimitedError:
    """Give the same error, in the same words: a status that counted down would be a write each time."""
    if isinstance(why, RateLimitedError):
        return RateLimitedError(str(why), retry_after=left)
    return CvatUnreachableError(str(why))
