"""The end of a tracker: the agent stops, the function goes, the state is purged, the finalizer goes.

In that order: an agent that still ran would answer for a function that is gone, or write keys after the
purge. What does not work is tried again, visibly, until a deadline; then the tracker is let go, and log,
metric and event say what was left. Its namespace may be going away at the same time, and the Secret with it:
the credentials that worked last are kept in memory for this. Where they are not known, and cannot be made
again because the namespace takes nothing new, there is nothing to wait for; nor for those of a Redis, where
keys expire by themselves: what stays there is told at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sam2_operator.core import naming
from sam2_operator.core.conditions import deleting_findings
from sam2_operator.core.deadlines import Deadlines
from sam2_operator.core.observed import Problem
from sam2_operator.core.ownership import has_our_labels, is_owned
from sam2_operator.core.plan import NODE_LOSS_MARGIN
from sam2_operator.core.reading import PartialTracker, UnreadableTrackerError, lacks
from sam2_operator.core.timestamps import parse, text
from sam2_operator.core.workload import is_orphan
from sam2_operator.errors import ConflictError, CvatError, OperatorError
from sam2_operator.purging import ONLY_TOLD, Purging
from sam2_operator.registrar import problem_of
from sam2_operator.retirement import owned_functions
from sam2_operator.sources import AccessMemory, SourceReader, Sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.observed import Manifest
    from sam2_operator.core.ports import Clock, Cvat, Kubernetes, Metrics, StateStore
    from sam2_operator.reporter import Reporter
    from sam2_operator.retirement import Retirement

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0
_NO_ACCESS = "NoAccess"
_UNREADABLE = UnreadableTrackerError.reason


@dataclass(frozen=True, slots=True)
class Finalizer:
    """Ends trackers."""

    kube: Kubernetes
    cvat: Cvat
    store: StateStore
    clock: Clock
    sources: SourceReader
    ledger: Ledger
    reporter: Reporter
    metrics: Metrics
    deadline: timedelta
    retirement: Retirement
    access: AccessMemory = field(default_factory=AccessMemory)
    deadlines: Deadlines = field(default_factory=Deadlines)

    def finalize(self, tracker: Tracker) -> float | None:
        """Go on with the end of a tracker; give the seconds until the next call, None when it has ended.

        Raises:
            ConflictError: somebody changed the tracker in between; begin again.
            KubernetesError: the API server does not let the operator work.
        """
        sources = _granted(tracker, self.access.note(tracker.metadata.uid, self._read(tracker)))
        now, asked = self.clock.now(), parse(tracker.metadata.deletion_timestamp or "")
        said = tracker.deletion_seconds
        patience = self.deadline if said is None else min(self.deadline, timedelta(seconds=said))
        gives_up_at = self.deadlines.of(tracker.metadata.uid, asked, patience, now)
        late = now >= gives_up_at
        left = []
        for step in (self._stop_agent, self._delete_functions, self._purge_state):
            problem = _tried(step, tracker, sources)
            if problem is not None and not late and not self._is_vain(tracker, problem):
                self._wait(tracker, problem, text(gives_up_at))
                return min(problem.retry_after or _RETRY_SECONDS, _RETRY_SECONDS)
            if problem is not None:
                left.append(problem.message)
        if left:
            self._give_up(tracker, left)
        self.kube.set_finalizer(tracker, present=False)
        self.forget(tracker.metadata.uid)
        self.ledger.forget(tracker)
        log.info("%s: ended", tracker.key)
        return None

    def forget(self, uid: str) -> None:
        """Drop what is remembered of a tracker that has ended, its credentials among it."""
        for memory in (self.access, self.deadlines, self.reporter.told):
            memory.forget(uid)

    def _read(self, tracker: Tracker) -> Sources:
        """Read what the tracker refers to; that it cannot be read must not hold the tracker."""
        try:
            return self.sources.read(tracker)
        except Exception as error:  # noqa: BLE001 - the end must come
            problem = _problem(tracker, error)
            return Sources(problem, problem)

    def _is_vain(self, tracker: Tracker, problem: Problem) -> bool:
        """Whether waiting helps nothing: what is missing cannot come back in a namespace that is going."""
        if problem.reason == ONLY_TOLD:
            return True
        return problem.reason == _NO_ACCESS and self.kube.is_terminating(tracker.metadata.namespace)

    def _stop_agent(self, tracker: Tracker, _: Sources) -> Problem | None:
        namespace, name = tracker.metadata.namespace, tracker.metadata.name
        live = self.kube.get("StatefulSet", namespace, naming.agent_name(name))
        if live is not None and (is_owned(tracker, live) or is_orphan(tracker, live)):
            if live["metadata"].get("deletionTimestamp") is None:
                self.kube.delete("StatefulSet", live)
        elif live is not None:
            return _unproven(tracker, live)  # somebody else's, and the pod of that name too
        pod = self.kube.pod(namespace, naming.pod_name(name))
        if pod is None:
            return None
        if pod.deleted_at is None:
            # Kubernetes would do it once the StatefulSet is gone, which somebody's finalizer may hold.
            self.kube.delete_pod(namespace, pod, force=False)
        lost = pod.deleted_at is not None and self.clock.now() - parse(pod.deleted_at) > NODE_LOSS_MARGIN
        if lost and tracker.spec.agent.on_node_loss == "Replace":
            self.kube.delete_pod(namespace, pod, force=True)
        where = f" on node {pod.node}" if pod.node else ""
        advice = (
            f" Its node may be lost: remove it from the cluster, or delete the pod by force if {pod.node} is "
            "surely off."
            if lost and pod.node
            else ""
        )
        return Problem("Deleting", f"The agent's pod {pod.name}{where} is still stopping.{advice}")

    def _delete_functions(self, tracker: Tracker, sources: Sources) -> Problem | None:
        if sources.cvat is None or not (self.retirement.has_work(tracker) or lacks(tracker, "status")):
            return None
        if isinstance(sources.cvat, Problem):
            # An operator that can read it may come also while the namespace is going.
            reason = "Deleting" if sources.cvat.reason == _UNREADABLE else _NO_ACCESS
            return _undeleted(tracker, sources.cvat, reason=reason)
        try:
            problem = self.retirement.retire(tracker, self.cvat.session(sources.cvat))
        except CvatError as error:
            return _undeleted(tracker, problem_of(error))
        return problem and _undeleted(tracker, problem)

    def _purge_state(self, tracker: Tracker, sources: Sources) -> Problem | None:
        return Purging(self.kube, self.store).purge(tracker, sources.state)

    def _wait(self, tracker: Tracker, problem: Problem, until: str) -> None:
        message = f"{problem.message} The tracker is let go at {until} in any case."
        self.reporter.report(tracker, tracker.status, deleting_findings(message), None)

    def _give_up(self, tracker: Tracker, left: list[str]) -> None:
        message = f"Deleted without finishing: {' '.join(left)} Clean up by hand."
        if self.reporter.tell(tracker, warning=True, reason="LeftBehind", message=message, lasting=True):
            log.warning("%s: %s", tracker.key, message)
            self.metrics.left_behind()


def _tried(
    step: Callable[[Tracker, Sources], Problem | None], tracker: Tracker, sources: Sources
) -> Problem | None:
    """Take a step; whatever stands in its way, a fault of ours too, others may still be possible.

    Raises:
        ConflictError: somebody changed something in between; begin again.
    """
    try:
        return step(tracker, sources)
    except ConflictError:
        raise
    except Exception as error:  # noqa: BLE001 - the end must come
        return replace(_problem(tracker, error), reason="Deleting")


def _problem(tracker: Tracker, error: Exception) -> Problem:
    """Say what went wrong; of what nobody foresaw only the kind, for its words may hold anything."""
    if isinstance(error, OperatorError):
        return Problem(error.reason, str(error))
    log.error("%s: its end met a fault of the operator", tracker.key, exc_info=error)
    return Problem("InternalError", f"The operator met a fault ({type(error).__name__}); see its log.")


def _granted(tracker: Tracker, sources: Sources) -> Sources:
    """Give only such access as comes of what can be read of the tracker."""
    if not isinstance(tracker, PartialTracker):
        return sources
    why = Problem(_UNREADABLE, tracker.problem)
    cvat = why if tracker.lacks("cvat", "function", "status") else sources.cvat
    return Sources(cvat, why if tracker.lacks("state") else sources.state)


def _unproven(tracker: Tracker, live: Manifest) -> Problem | None:
    """Tell of a StatefulSet that may be the tracker's; nobody else will ever collect it."""
    if live["metadata"].get("ownerReferences") or not has_our_labels(tracker, live):
        return None
    name = live["metadata"]["name"]
    message = f"The StatefulSet {name} has no owner and cannot be proven to be the tracker's: it is left."
    return Problem(ONLY_TOLD, message)


def _undeleted(tracker: Tracker, problem: Problem, *, reason: str = "Deleting") -> Problem:
    known = ", ".join(str(each) for each in owned_functions(tracker))
    what = f"Function {known}" if known else f"A function named {naming.function_name(tracker)!r}"
    return Problem(reason, f"{what} cannot be deleted in CVAT: {problem.message}", problem.retry_after)
