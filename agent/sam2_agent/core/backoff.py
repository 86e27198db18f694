"""How long to wait before trying again."""

from __future__ import annotations

from random import Random


class Backoff:
    """Equal jitter: each wait is drawn from the upper half of a limit that doubles, up to the longest.

    It spreads the retries of many agents after a common outage, and unlike jitter without a floor it also
    bounds how often one agent asks (M. Brooker, "Exponential Backoff And Jitter", 2015).
    """

    def __init__(self, rng: Random, *, shortest: float = 0.1, longest: float = 10.0) -> None:
        self._rng = rng
        self._shortest = shortest
        self._longest = longest
        self._limit = shortest

    def next(self, asked: float | None = None) -> float:
        """Return the seconds to wait, at least what the other side asked for."""
        self._limit = min(self._longest, self._limit * 2)
        return max(self._rng.uniform(self._limit / 2, self._limit), asked or 0.0)

    def reset(self) -> None:
        """Begin with short waits again, after something went well."""
        self._limit = self._shortest
