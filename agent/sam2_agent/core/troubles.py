"""Noting what is transient: in the log, in the metrics, and in the status until it is over."""

from __future__ import annotations

import logging

from sam2_agent.core.ports import Events
from sam2_agent.core.status import Peer, Status
from sam2_agent.errors import CVATUnavailable, Unavailable

log = logging.getLogger(__name__)


class Troubles:
    """Where everybody notes that CVAT or Redis did not do what it was asked."""

    def __init__(self, status: Status, events: Events) -> None:
        self._status = status
        self._events = events

    def note(self, trouble: Unavailable) -> None:
        """Note it once for every failed try."""
        peer: Peer = "CVAT" if isinstance(trouble, CVATUnavailable) else "Redis"
        self._status.trouble(peer, trouble)
        self._events.unavailable(trouble.reason)
        log.warning("%s", trouble, extra={"reason": trouble.reason})
