"""Requests that this agent began and did not end: how long they are in trouble, and when each is tried again.

Where CVAT is the trouble a request is tried for a turn and then left for now, because others may fare better:
a proxy may refuse one large answer, or one frame be damaged.  It gets its next turn as long after as the last
one was in trouble.

All patience is counted from the first trouble: a request whose answer takes long to compute is not late.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from random import Random

from sam2_agent.core.backoff import Backoff
from sam2_agent.core.ports import Clock
from sam2_agent.core.requests import Recorded


@dataclass(slots=True)
class Begun:
    """A request that was begun.

    `is_recorded` says that it is known to be in Redis; `token` is that of the lease it is answered with.
    """

    request: Recorded
    backoff: Backoff
    not_before: float
    is_recorded: bool = False
    token: str | None = None
    troubled_since: float | None = None

    def troubled(self, now: float) -> float:
        """Note trouble; return for how many seconds there has been some."""
        if self.troubled_since is None:
            self.troubled_since = now
        return now - self.troubled_since

    def leave(self, now: float, turn_began_at: float, wait: float) -> None:
        """Let others go first for as long as this turn was in trouble, and for `wait` seconds at least."""
        troubled = self.troubled(now)
        self.not_before = now + max(wait, min(troubled, now - turn_began_at))


class Turns:
    """The requests begun, by id."""

    def __init__(self, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._begun: dict[str, Begun] = {}

    def __len__(self) -> int:
        return len(self._begun)

    def __contains__(self, ar_id: str) -> bool:
        return ar_id in self._begun

    def begin(self, request: Recorded, *, is_recorded: bool) -> Begun:
        """Begin a request, or try it again: what was asked last counts, and the most attempts known."""
        ar_id = request.assignment.ar_id
        if begun := self._begun.get(ar_id):
            attempts = max(request.attempts, begun.request.attempts)
            begun.request = request.model_copy(update={"attempts": attempts})
        else:
            begun = self._begun[ar_id] = Begun(request, Backoff(self._rng), self._clock.now())
        begun.is_recorded = is_recorded
        return begun

    def end(self, ar_id: str) -> None:
        """Forget a request."""
        self._begun.pop(ar_id, None)

    def wait(self, ar_id: str) -> float:
        """Return in how many seconds the request may be tried; 0 where it may be now."""
        begun = self._begun.get(ar_id)
        return max(0.0, begun.not_before - self._clock.now()) if begun else 0.0

    def due(self, besides: Container[str]) -> list[Recorded]:
        """The requests, by id none of `besides`, that may be tried."""
        return [
            begun.request
            for ar_id, begun in self._begun.items()
            if ar_id not in besides and not self.wait(ar_id)
        ]
