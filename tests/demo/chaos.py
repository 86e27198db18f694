"""Ends the agent in the middle of a request, truly: it is held up until it is dead.

For an agent that fetches requests, by the frame's download:

CVAT's stand-in        agent                          here
stall frame N  ◄──────────────────────────────────── arm
request N ───────────► acquire, fetch frame N
(silent)               waits ...
"stalled" ──────────────────────────────────────────► seen, and request N is in the agent's hands
                       dead  ◄─────────────────────── SIGKILL, or the pod is deleted without grace
                       its successor goes on
answer N ◄───────────  complete
released ◄────────────────────────────────────────── finish
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import say
from tests.cvat_standin.waiting import wait_for
from tests.demo.holds import Hold
from tests.demo.install import NAMESPACE, TRACKER, pod_name
from tests.demo.privileged import AgentSignals

_PATIENCE = 60.0


class MidRequest:
    """Strikes once the request for the frame is in the agent's hands."""

    name: str
    what: str

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._struck: Future[float] | None = None

    @property
    def ahead(self) -> int:
        """See `session.Interruption`."""
        return self._hold.ahead

    def arm(self, frame: int) -> None:
        """See `session.Interruption`."""
        self._hold.begin(frame)
        self._struck = self._threads.submit(self._strike_during, frame)

    def finish(self) -> float:
        """See `session.Interruption`."""
        assert self._struck is not None, "armed"
        try:
            return self._struck.result(timeout=_PATIENCE)
        finally:
            self._hold.end()
            self._threads.shutdown()

    def _strike_during(self, frame: int) -> float:
        try:
            middle = f"the agent to be in the middle of the request for frame {frame}"
            wait_for(lambda: self._hold.has(frame), middle, within=_PATIENCE)
            self.strike()
            say(f"   frame {frame}: {self.what}")
            return time.monotonic()
        except BaseException:
            self._hold.end()  # nobody shall wait for what will not come
            raise

    def strike(self) -> None:
        """End the agent."""
        raise NotImplementedError


class ProcessKill(MidRequest):
    """SIGKILL to the agent's process."""

    name = "SIGKILL"
    what = "SIGKILL in the middle of a request"

    def __init__(self, hold: Hold, signals: AgentSignals) -> None:
        super().__init__(hold)
        self._signals = signals

    def arm(self, frame: int) -> None:
        """Be able to send signals, then as ever."""
        self._signals.prepare()
        super().arm(frame)

    def strike(self) -> None:
        """Kill it."""
        self._signals.send("KILL")


class PodDeletion(MidRequest):
    """`kubectl delete pod --grace-period=0 --force`."""

    name = "pod deleted"
    what = "pod deleted without grace in a request"

    def __init__(self, hold: Hold, kubectl: Kubectl, tracker: str = TRACKER) -> None:
        super().__init__(hold)
        self._kubectl = kubectl
        self._pod = pod_name(tracker)

    def strike(self) -> None:
        """Delete its pod."""
        self._kubectl("--namespace", NAMESPACE, "delete", "pod", self._pod, "--grace-period=0", "--force")
