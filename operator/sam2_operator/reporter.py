"""Tells what was found: conditions in the status, and an event for each transition.

A status that is right already is not written. What comes and goes again and again (a container that crashes
all night) is told once in the time for which Kubernetes keeps an event, so that one is always there to see.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

from sam2_operator.api.status import AgentStatus, Condition, TrackerStatus
from sam2_operator.core import naming
from sam2_operator.core.conditions import Finding, conditions
from sam2_operator.core.reading import UnreadableTrackerError
from sam2_operator.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.observed import Pod
    from sam2_operator.core.ports import Clock, Kubernetes
    from sam2_operator.core.reading import PartialTracker

log = logging.getLogger(__name__)


EVENT_LIFE = timedelta(hours=1)
"""For how long an API server keeps events, by default."""


class Told:
    """What each tracker's events have told, and when; safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at: dict[str, dict[str, datetime]] = {}

    def is_news(self, uid: str, reason: str, now: datetime) -> bool:
        """Whether no event that still lives tells it; from now on, one does."""
        with self._lock:
            told = self._at.setdefault(uid, {})
            if reason in told and now - told[reason] < EVENT_LIFE:
                return False
            told[reason] = now
            return True

    def unsay(self, uid: str, reason: str) -> None:
        """Take back that an event tells it: none could be made."""
        with self._lock:
            self._at.get(uid, {}).pop(reason, None)

    def forget(self, uid: str) -> None:
        """Drop what is known about a tracker."""
        with self._lock:
            self._at.pop(uid, None)


@dataclass(frozen=True, slots=True)
class Reporter:
    """Writes statuses and events."""

    kube: Kubernetes
    clock: Clock
    ledger: Ledger
    told: Told = field(default_factory=Told)

    def report(
        self, tracker: Tracker, status: TrackerStatus, findings: Sequence[Finding], pod: Pod | None
    ) -> Tracker:
        """Write the status with these findings, if it changed.

        Raises:
            ConflictError: the tracker changed in between.
            KubernetesError: the API server does not answer.
        """
        generation = tracker.metadata.generation
        told = conditions(findings, tracker.status.conditions, generation, self.clock.now())
        wanted = status.model_copy(
            update={
                "observed_generation": generation,
                "model": naming.model_title(tracker),
                "conditions": told,
                "agent": _agent(pod),
            }
        )
        if wanted == tracker.status:
            return tracker
        written = self.kube.write_status(tracker, wanted)
        self.ledger.note(written)
        self._tell(tracker, told)
        return written

    def report_unread(self, tracker: PartialTracker) -> None:
        """Tell of a tracker that cannot be read that it is left as it is; what its agent does is not known.

        Raises:
            KubernetesError: as `report`.
        """
        message = f"{tracker.problem} Until then nothing of it is changed, and an agent that runs goes on."
        pod = self.kube.pod(tracker.metadata.namespace, naming.pod_name(tracker.metadata.name))
        unreadable = Finding("Ready", "False", UnreadableTrackerError.reason, message)
        self.report(tracker, tracker.status, (unreadable,), pod)

    def tell(
        self, tracker: Tracker, *, warning: bool, reason: str, message: str, lasting: bool = False
    ) -> bool:
        """Make an event, if it is news; that it cannot be made is no reason to stop."""
        if not self.told.is_news(tracker.metadata.uid, reason, self.clock.now()):
            return False
        try:
            self.kube.event(tracker, warning=warning, reason=reason, message=message, lasting=lasting)
        except KubernetesError as error:
            if not lasting:  # last words are counted as well, once
                self.told.unsay(tracker.metadata.uid, reason)
            log.warning("%s: the event %s could not be made: %s", tracker.key, reason, error)
        return True

    def _tell(self, tracker: Tracker, told: Sequence[Condition]) -> None:
        """Make an event when Ready changes, or is false for another reason than before."""
        before = {condition.type: condition for condition in tracker.status.conditions}
        for now in told:
            then = before.get(now.type)
            if now.type != "Ready" or (
                then is not None and (then.status, then.reason) == (now.status, now.reason)
            ):
                continue
            log.info("%s: Ready is %s (%s): %s", tracker.key, now.status, now.reason, now.message)
            waiting = now.reason in _USUAL
            self.tell(
                tracker, warning=now.status != "True" and not waiting, reason=now.reason, message=now.message
            )


_USUAL = frozenset(
    {
        "PodMissing",
        "Starting",
        "RollingOut",
        "LoadingModel",
        "WaitingForLease",
        "Suspended",
        "Deleting",
        "Terminating",
    }
)
"""Reasons of every start and stop: nothing to worry about."""


def _agent(pod: Pod | None) -> AgentStatus | None:
    if pod is None:
        return None
    return AgentStatus(pod=pod.name, node=pod.node, image=pod.image, restarts=pod.restarts)
