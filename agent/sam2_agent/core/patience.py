"""How long things may take, and how often they may be tried."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """All in seconds but `attempts`."""

    lease: float = 15.0
    """How long the lease lives without renewal."""
    poll: float = 10.0
    """The queue is asked so often even when no event came."""
    request: float = 120.0
    """After so long without CVAT's frames or Redis an annotator is told instead of kept waiting."""
    turn: float = 5.0
    """A request that CVAT keeps waiting lets others go first after so long; it stays recorded."""
    restore: float = 45.0
    """How long one request may restore tracks: below the minute after which proxies give up."""
    drain: float = 20.0
    """How long the request in hand may go on after the agent was told to stop."""
    release: float = 3.0
    """How long Redis may take to release the lease; a pod has 30 s for this and `drain`."""
    attempts: int = 5
    """A request during which so many agents died is failed: it may be what kills them."""
