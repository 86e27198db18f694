"""How soon a tracker is looked at again: after success, after failure, and when it is woken all the time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from sam2_operator.core.observed import Pod
    from sam2_operator.core.outcome import Outcome

_JITTER = 0.1
_FIRST_RETRY_SECONDS = 1.0
_FREE_WAKES = 5
_GOLDEN = (math.sqrt(5) - 1) / 2
_ROUNDING = 1e-6
"""Of an interval: a turn that has just been taken is not taken again."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done, in seconds."""

    interval: float
    """A tracker is reconciled at least this often."""
    agent_interval: float
    """An agent is asked, and a tracker that is not ready is reconciled, this often."""
    stuck: float = 300.0
    """When no reconcile ends for so long, although one runs, the operator makes no progress."""
    hung: float = 900.0
    """When one reconcile takes so long, it will never end, whatever becomes of the others."""
    calm: float = 0.3
    """Notifications come in bursts: a tracker woken again waits this long, and answers them all."""
    restless: float = 5.0
    """How long it waits when it is woken all the time."""


def backoff(failures: int, most: float, rng: random.Random) -> float:
    """Give the seconds to wait after so many failures in a row: doubling, up to the most, with jitter."""
    return jittered(min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 20), most), rng)


def jittered(seconds: float, rng: random.Random) -> float:
    """Spread what would otherwise happen at once."""
    return seconds * rng.uniform(1 - _JITTER, 1 + _JITTER)


def phases(start: float) -> Iterator[float]:
    """Give places in a circle of length 1, the first of them `start`, spread evenly however many are taken.

    Those that are drawn at random fall into clusters, and what falls together waits for the same processors
    and the same API server. Each multiple of the golden ratio divides one of the largest gaps that those
    before it left (D. E. Knuth, The Art of Computer Programming, section 6.4).
    """
    return ((start + number * _GOLDEN) % 1.0 for number in count())


@dataclass(slots=True)
class Tracked:
    """What is known of one tracker between two reconciles; times are the event loop's."""

    phase: float
    """When in each interval it is reconciled if all is well, from 0 to 1."""
    woken: bool = True
    due: float = 0.0
    """When it is reconciled at the latest."""
    outcome: Outcome | None = None
    failures: int = 0
    said: str = ""
    """The last failure, so that a lasting one is told once."""
    _wakes: int = 0
    """Reconciles in a row that notifications asked for."""
    _ended: float = 0.0

    def begin(self, now: float, pace: Pace) -> None:
        """Note that a reconcile begins, which answers all notifications so far."""
        restless = self.woken and now - self._ended < 2 * self.calm(pace)
        self._wakes = self._wakes + 1 if restless else 0
        self.woken = False

    def end(self, now: float, outcome: Outcome | None, pace: Pace, rng: random.Random) -> None:
        """Note what came of it; None is a failure."""
        self.outcome, self._ended = outcome, now
        self.failures = 0 if outcome is not None else self.failures + 1
        if outcome is None:
            self.due = now + backoff(self.failures, pace.interval, rng)
        elif outcome.ready and outcome.retry_seconds is None:
            self.due = self._next_turn(now, pace.interval)
        else:
            wanted = pace.agent_interval if outcome.retry_seconds is None else outcome.retry_seconds
            self.due = now + rng.uniform((1 - 2 * _JITTER) * wanted, wanted)

    def _next_turn(self, now: float, interval: float) -> float:
        """Give the next moment of its phase: after now, and within an interval.

        All trackers have one each interval, each its own; also who was woken shortly before has it.
        """
        turns = math.floor(now / interval - self.phase + _ROUNDING) + 1
        return (turns + self.phase) * interval

    def calm(self, pace: Pace) -> float:
        """Give how long notifications are gathered: short, unless reconciles have long chased each other."""
        return float(min(pace.calm * 2.0 ** min(max(0, self._wakes - _FREE_WAKES), 20), pace.restless))

    def rest(self, now: float, pace: Pace, rng: random.Random) -> float:
        """Give the seconds until there is something to do without any notification."""
        left = max(self.due - now, 0.0)
        return left if self._asked() is None else min(left, jittered(pace.agent_interval, rng))

    def pod_to_ask(self, now: float) -> Pod | None:
        """Give the pod of a tracker for which asking the agent is enough for now."""
        return None if self.woken or now >= self.due else self._asked()

    def _asked(self) -> Pod | None:
        return self.outcome.pod if self.outcome is not None and self.outcome.ready else None
