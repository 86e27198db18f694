"""How an agent is kept in the middle of a request until something strikes it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from tests.cluster.errors import ClusterError
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.fault_control import ArmedFault
from tests.demo.privileged import AgentSignals


class Hold(Protocol):
    """Keeps the agent in the middle of the request for one frame."""

    @property
    def ahead(self) -> int:
        """How many frames before its own it begins, once the frame before those is answered."""

    def begin(self, frame: int) -> None:
        """Keep the agent from finishing that frame."""

    def has(self, frame: int) -> bool:
        """Whether the request for that frame is in the agent's hands."""

    def end(self) -> None:
        """Let go; harmless where nothing is held any more."""


class StalledDownload:
    """Of an agent that fetches requests and frames: the frame's download hangs.

    It begins early: two frames ahead is the agent's own way to fetch.
    """

    ahead = 3

    def __init__(self, cvat: CVAT, function_id: int) -> None:
        self._cvat = cvat
        self._function_id = function_id
        self._stall: ArmedFault | None = None

    def begin(self, frame: int) -> None:
        """See `Hold`."""
        query = {"type": "frame", "number": str(frame)}
        self._stall = self._cvat.faults.stall("GET /api/**", query=query)

    def has(self, frame: int) -> bool:
        """See `Hold`."""
        if self._stall is None or not self._stall.taken():
            return False
        latest = self._cvat.requests(self._function_id)[-1]
        return latest.status == "started" and latest.params["frame"] == frame

    def end(self) -> None:
        """See `Hold`."""
        if self._stall is not None:
            self._stall.clear()


class FrozenAgent:
    """Of an agent that is called: its process stands still, and the call waits in its hands."""

    ahead = 1

    def __init__(self, signals: AgentSignals, in_hand: Callable[[], int]) -> None:
        """`in_hand` tells how many calls the gateway waits for."""
        self._signals = signals
        self._in_hand = in_hand

    def begin(self, frame: int) -> None:  # noqa: ARG002 - of whichever frame comes next
        """See `Hold`."""
        self._signals.prepare()
        self._signals.send("STOP")

    def has(self, frame: int) -> bool:  # noqa: ARG002
        """See `Hold`."""
        return self._in_hand() > 0

    def end(self) -> None:
        """See `Hold`."""
        with suppress(ClusterError):  # mostly it was killed, and its successor may not be there yet
            self._signals.send("CONT")
