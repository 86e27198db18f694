"""Who may act: what an agent does about the lease, decided purely.

    holder             Redis                     successor
    take(token A) ---> lease = A for 15 s
    renew(A) --------> expiry moves on
    (paused)           lease expires
                       lease = B <-------------- take(token B)
    publish(A) ------> refused: lease is not A
                       answers <---------------- publish(B)

The tokens are random, not counted: a Redis that lost its last second, or that a failover sent back in time,
can refuse a rightful holder, who takes the lease again, but never accepts a wrong one for a current token.
The agent counts its time from before it asked, on a clock that never jumps; so it stops before Redis gives
the lease away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this agent holds.

    `token` is what Redis stores under the lease's key; `epoch` counts holders, for logs and metrics only;
    `expires` is in seconds of the agent's clock.
    """

    token: str
    epoch: int
    expires: float

    def held(self, now: float) -> bool:
        """Whether nobody else can hold it yet."""
        return now < self.expires

    def renewed(self, asked_at: float, seconds: float) -> Lease:
        """Return the lease after a renewal that was asked for at `asked_at`; it never gets shorter."""
        return replace(self, expires=max(self.expires, asked_at + seconds))


def renew_after(seconds: float) -> float:
    """How long after a renewal to send the next: three may fail before the lease of `seconds` is lost."""
    return seconds / 5


def look_again_after(seconds: float, left: float) -> float:
    """How long to wait for a lease that has `left` seconds: its holder may release it early."""
    return max(0.05, min(left, seconds / 15))
