"""What agents say of themselves: GET /status of the pod."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Literal

import urllib3
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from sam2_operator.adapters.bounded import BoundedPools, Bounds
from sam2_operator.core.environment import PORT
from sam2_operator.core.observed import AgentReport, Pod

if TYPE_CHECKING:
    from sam2_operator.core.ports import Clock

FRESH_SECONDS = 30.0
"""How old an answer may be and still count: what Ready promises."""

_TIMEOUT = urllib3.Timeout(connect=1.0, read=2.0)
_MAX_BYTES = 1 << 16
_MAX_SECONDS = 5.0


class AgentStatusDocument(BaseModel):
    """The agent's answer, as both sides agreed on it; an agent of a newer version may say more."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore")

    version: str
    phase: Literal["Starting", "LoadingModel", "WaitingForLease", "Serving", "Draining"]
    ready: bool
    reason: str
    message: str
    lease_held: bool
    lease_epoch: int | None
    cvat_answered_seconds_ago: float | None
    redis_answered_seconds_ago: float | None
    model_fingerprint: str | None


class HttpAgents:
    """The port `Agents`. Keeps each agent's last answer for as long as it counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        bounds = Bounds(_MAX_BYTES, _MAX_SECONDS, clock.monotonic)
        self._pool = BoundedPools(bounds=bounds, num_pools=64, maxsize=1, retries=False)
        self._lock = Lock()
        self._last: dict[str, tuple[float, AgentReport]] = {}

    def report(self, pod: Pod) -> AgentReport | None:
        """Give what the agent last said of itself, at most 30 seconds ago; None if the pod has no address."""
        if pod.ip is None:
            return None
        asked = self._clock.monotonic()
        try:
            report = self._ask(pod.ip)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return self._remembered(pod.uid, asked) or _silent(pod, error)
        with self._lock:
            self._last[pod.uid] = (asked, report)
            self._last = {uid: each for uid, each in self._last.items() if asked - each[0] <= FRESH_SECONDS}
        return report

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


def _silent(pod: Pod, error: Exception) -> AgentReport:
    if not pod.ready:
        return AgentReport(
            ready=False, reason="Starting", message=f"The agent in the pod {pod.name} is starting."
        )
    return AgentReport(
        ready=False,
        reason="AgentUnreachable",
        message=f"The agent in the pod {pod.name} does not answer the operator ({type(error).__name__}): let "
        f"the operator reach its port {PORT} in your network policies.",
    )
