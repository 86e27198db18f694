"""How soon a tracker is looked at again: after success, after failure, and when it is woken all the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from sam2_operator.core.observed import Pod
    from sam2_operator.reconcile import Outcome
    from sam2_operator.timetable import Timetable

_JITTER = 0.1
_FIRST_RETRY_SECONDS = 1.0
_FREE_WAKES = 5


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
    return jittered(_doubled(failures, most), rng)


def jittered(seconds: float, rng: random.Random) -> float:
    """Spread what would otherwise happen at once."""
    return seconds * rng.uniform(1 - _JITTER, 1 + _JITTER)


def _doubled(failures: int, most: float) -> float:
    return float(min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 20), most))


@dataclass(slots=True)
class Tracked:
    """What is known of one tracker between two reconciles; times are the event loop's."""

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

    def end(self, now: float, outcome: Outcome | None, pace: Pace, timetable: Timetable) -> None:
        """Note what came of it; None is a failure."""
        is_first, self.outcome, self._ended = self._ended == 0.0, outcome, now
        self.failures = 0 if outcome is not None else self.failures + 1
        timetable.leave(self.due)
        self.due = timetable.take(now, *self._rest_after(outcome, pace, is_first=is_first))

    def _rest_after(self, outcome: Outcome | None, pace: Pace, *, is_first: bool) -> tuple[float, float]:
        """Give the least and the most seconds until the next reconcile."""
        if outcome is None:
            wait = _doubled(self.failures, pace.interval)
            return (1 - _JITTER) * wait, (1 + _JITTER) * wait
        usual = pace.interval if outcome.ready else pace.agent_interval
        wanted = usual if outcome.retry_seconds is None else outcome.retry_seconds
        # An operator that starts meets all trackers at once; it does not meet them at once ever after.
        return 0.0 if is_first else (1 - 2 * _JITTER) * wanted, wanted

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
