"""When each tracker is looked at next, so that many are looked at evenly and not in clusters.

Moments that are only drawn at random fall into clusters, and what falls together waits for the same
processor and the same API server. To take, of some that are drawn, the one furthest from all that are taken
leaves none (the best candidate: D. P. Mitchell, "Spectrally Optimal Sampling for Distribution Ray Tracing",
SIGGRAPH 1991).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_CANDIDATES = 16
"""With so many, those of 1,000 trackers are almost as far apart as they can be."""


class Timetable:
    """The moments that are taken, in seconds; belongs to one event loop."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._taken: list[float] = []

    def __len__(self) -> int:
        """Give how many moments are taken."""
        return len(self._taken)

    def take(self, now: float, least: float, most: float) -> float:
        """Take a moment so many seconds from now, far from all others; those that have passed are free."""
        del self._taken[: bisect_left(self._taken, now)]
        candidates = [now + self._random.uniform(least, most) for _ in range(_CANDIDATES)]
        moment = max(candidates, key=self._distance)
        insort(self._taken, moment)
        return moment

    def leave(self, moment: float) -> None:
        """Give up a moment, unless it has passed."""
        place = bisect_left(self._taken, moment)
        if self._taken[place : place + 1] == [moment]:
            del self._taken[place]

    def _distance(self, moment: float) -> float:
        place = bisect_left(self._taken, moment)
        around = self._taken[max(0, place - 1) : place + 1]
        return min((abs(moment - each) for each in around), default=inf)
