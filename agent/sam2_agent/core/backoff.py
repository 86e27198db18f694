"""How long to wait before trying again."""

from __future__ import annotations

from random import Random


class Backoff:
    """Decorrelated jitter: each wait is drawn between the shortest and three times the last one.

    It spreads the retries of many agents after a common outage (M. Brooker, "Exponential Backoff And Jitter",
    2015).
    """

    def __init__(self, rng: Random, *, shortest: float = 0.1, longest: float = 10.0) -> None:
        self._rng = rng
        self._shortest = shortest
        self._longest = longest
        self._last = shortest

    def next(self, asked: float | None = None) -> float:
        """Return the seconds to wait, at least what the other side asked for."""
        self._last = min(self._longest, self._rng.uniform(self._shortest, self._last * 3))
        return max(self._last, asked or 0.0)

    def reset(self) -> None:
        """Begin with short waits again, after something went well."""
        self._last = self._shortest
