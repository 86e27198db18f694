"""What agents say of themselves: GET /status of the pod."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError

from sam2_operator.adapters.bounded import BoundedPools, Bounds
from sam2_operator.core.bulkhead import Bulkhead, OccupiedError
from sam2_operator.core.environment import PORT
from sam2_operator.core.observed import AgentReport, Pod

if TYPE_CHECKING:
    from sam2_operator.core.ports import Clock

FRESH_SECONDS = 30.0
"""How old an answer may be and still count: what Ready promises."""

_TIMEOUT = urllib3.Timeout(connect=1.0, read=2.0)
_SLOW_SECONDS = 0.9
"""An agent that was silent for as long keeps threads from others."""
_MAX_BYTES = 1 << 16
_MAX_SECONDS = 5.0
_MAX_SILENT = 10_000


class AgentStatusDocument(BaseModel):
    """What the operator needs of an agent's answer: every version says this much, and may say more."""

    model_config = ConfigDict(extra="ignore")

    ready: bool
    reason: str
    message: str


class HttpAgents:
    """The port `Agents`. Keeps each agent's last answer for as long as it counts.

    Agents that were silent are asked by a few threads only, so that the loss of a node with all its agents
    takes no time from the others.
    """

    def __init__(self, clock: Clock, *, slots: int = 2) -> None:
        """Let `slots` threads wait for silent agents together."""
        self._clock = clock
        self._bulkhead = Bulkhead(
            clock.monotonic, slow_seconds=_SLOW_SECONDS, slots=slots, failures_only=True
        )
        bounds = Bounds(_MAX_BYTES, _MAX_SECONDS, clock.monotonic)
        self._pool = BoundedPools(bounds=bounds, num_pools=64, maxsize=1, retries=False)
        self._lock = Lock()
        self._last: dict[str, tuple[float, AgentReport]] = {}
        self._silent: OrderedDict[str, str] = OrderedDict()
        """Why an agent could not be asked the last time."""
        self._tidied = clock.monotonic()

    def report(self, pod: Pod) -> AgentReport | None:
        """Give what the agent last said of itself, at most 30 seconds ago; None if the pod has no address."""
        if pod.ip is None:
            return None
        asked = self._clock.monotonic()
        try:
            with self._bulkhead.passing(pod.uid):
                report = self._ask(pod.ip)
        except OccupiedError:
            return self._remembered(pod.uid, asked) or _silent(pod, self._silent.get(pod.uid, "TimeoutError"))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            why = type(error).__name__
            with self._lock:
                self._silent[pod.uid] = why
                if len(self._silent) > _MAX_SILENT:
                    self._silent.popitem(last=False)
            return self._remembered(pod.uid, asked) or _silent(pod, why)
        with self._lock:
            self._silent.pop(pod.uid, None)
            self._last[pod.uid] = (asked, report)
            self._forget(asked)
        return report

    def _forget(self, now: float) -> None:
        """Drop answers that no longer count, once in a while."""
        if now - self._tidied > FRESH_SECONDS:
            self._tidied = now
            self._last = {uid: each for uid, each in self._last.items() if now - each[0] <= FRESH_SECONDS}

    def _remembered(self, uid: str, now: float) -> AgentReport | None:
        with self._lock:
            at, report = self._last.get(uid, (0.0, None))
        return report if report is not None and now - at <= FRESH_SECONDS else None

    def _ask(self, address: str) -> AgentReport:
        host = f"[{address}]" if ":" in address else address
        answer = self._pool.request("GET", f"http://{host}:{PORT}/status", timeout=_TIMEOUT)
        try:
            status = AgentStatusDocument.model_validate_json(answer.data)
        except ValidationError:
            return AgentReport(
                ready=False,
                reason="AgentIncompatible",
                message="The agent's status cannot be read: its image is of another version than the "
                "operator. Remove spec.agent.image to use the operator's own, or upgrade the operator.",
            )
        return AgentReport(ready=status.ready, reason=status.reason, message=status.message)


def _silent(pod: Pod, why: str) -> AgentReport:
    if not pod.ready:
        return AgentReport(
            ready=False, reason="Starting", message=f"The agent in the pod {pod.name} is starting."
        )
    return AgentReport(
        ready=False,
        reason="AgentUnreachable",
        message=f"The agent in the pod {pod.name} does not answer the operator ({why}): let "
        f"the operator reach its port {PORT} in your network policies.",
    )
