"""The end of a tracker: the agent stops, the function goes, the state is purged, the finalizer goes.

In that order: an agent that still ran would answer for a function that is gone, or write keys after the
purge. What does not work is tried again, visibly, until a deadline; then the tracker is let go, and log,
metric and event say what was left. Its namespace may be going away at the same time, and the Secret with it:
the credentials that worked last are kept in memory for this.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from sam2_operator.core import naming
from sam2_operator.core.conditions import Finding
from sam2_operator.core.observed import Problem
from sam2_operator.core.ownership import is_owned
from sam2_operator.core.plan import NODE_LOSS_MARGIN
from sam2_operator.core.timestamps import parse, text
from sam2_operator.errors import CvatError, OperatorError
from sam2_operator.registrar import problem_of
from sam2_operator.sources import SourceReader, Sources

if TYPE_CHECKING:
    from datetime import timedelta

    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.ports import Clock, Cvat, Kubernetes, Metrics, StateStore
    from sam2_operator.reporter import Reporter
    from sam2_operator.retirement import Retirement

log = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


class AccessMemory:
    """The access that trackers had last; safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: dict[str, Sources] = {}

    def note(self, uid: str, sources: Sources) -> Sources:
        """Take in what could be read, and give it completed by what could be read before."""
        with self._lock:
            before = self._last.get(uid, sources)
            cvat = before.cvat if isinstance(sources.cvat, Problem) else sources.cvat
            state = before.state if isinstance(sources.state, Problem) else sources.state
            self._last[uid] = Sources(cvat, state)
            return self._last[uid]

    def forget(self, uid: str) -> None:
        """Drop what is known about a tracker."""
        with self._lock:
            self._last.pop(uid, None)


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

    def finalize(self, tracker: Tracker) -> float | None:
        """Go on with the end of a tracker; give the seconds until the next call, None when it has ended.

        Raises:
            ConflictError: somebody changed the tracker in between; begin again.
            KubernetesError: the API server does not let the operator work.
        """
        sources = self.access.note(tracker.metadata.uid, self.sources.read(tracker))
        gives_up_at = parse(tracker.metadata.deletion_timestamp or "") + self.deadline
        late = self.clock.now() >= gives_up_at
        left = []
        for step in (self._stop_agent, self._delete_functions, self._purge_state):
            problem = step(tracker, sources)
            if problem is not None and not late:
                self._wait(tracker, problem, text(gives_up_at))
                return min(problem.retry_after or _RETRY_SECONDS, _RETRY_SECONDS)
            if problem is not None:
                left.append(problem.message)
        if left:
            self._give_up(tracker, left)
        self.kube.set_finalizer(tracker, present=False)
        self.access.forget(tracker.metadata.uid)
        self.ledger.forget(tracker.key)
        log.info("%s: ended", tracker.key)
        return None

    def _stop_agent(self, tracker: Tracker, _: Sources) -> Problem | None:
        namespace, name = tracker.metadata.namespace, tracker.metadata.name
        live = self.kube.get("StatefulSet", namespace, naming.agent_name(name))
        if live is not None and is_owned(tracker, live):
            if live["metadata"].get("deletionTimestamp") is None:
                self.kube.delete("StatefulSet", live)
        elif live is not None:
            return None  # somebody else's, and the pod of that name too
        pod = self.kube.pod(namespace, naming.pod_name(name))
        if pod is None:
            return None
        lost = pod.deleted_at is not None and self.clock.now() - parse(pod.deleted_at) > NODE_LOSS_MARGIN
        if lost and tracker.spec.agent.on_node_loss == "Replace":
            self.kube.delete_pod(namespace, pod, force=True)
        where = f" on node {pod.node}" if pod.node else ""
        return Problem("Deleting", f"The agent's pod {pod.name}{where} is still stopping.")

    def _delete_functions(self, tracker: Tracker, sources: Sources) -> Problem | None:
        if not self.retirement.has_work(tracker):
            return None
        if isinstance(sources.cvat, Problem):
            return _undeleted(tracker, sources.cvat)
        try:
            problem = self.retirement.retire(tracker, self.cvat.session(sources.cvat))
        except CvatError as error:
            return _undeleted(tracker, problem_of(error))
        return problem and _undeleted(tracker, problem)

    def _purge_state(self, tracker: Tracker, sources: Sources) -> Problem | None:
        if isinstance(sources.state, Problem):
            # No agent ever ran with it, or the Secret is gone for good: its keys expire by themselves.
            return None
        uid = tracker.metadata.uid
        # A tracker that was moved to a Redis of its own may have left keys and a user in the operator's.
        managed = self.store.managed(uid)
        places = [sources.state, *([managed] if managed is not None and managed != sources.state else [])]
        for place in places:
            try:
                count = self.store.purge(place, naming.key_prefix(uid))
            except OperatorError as error:
                return Problem("Deleting", f"The tracks {naming.key_prefix(uid)}* cannot be deleted: {error}")
            log.info("%s: deleted %d keys in Redis", tracker.key, count)
        return None

    def _wait(self, tracker: Tracker, problem: Problem, until: str) -> None:
        message = f"{problem.message} The tracker is let go at {until} in any case."
        self.reporter.report(tracker, tracker.status, [Finding("Ready", "False", "Deleting", message)], None)

    def _give_up(self, tracker: Tracker, left: list[str]) -> None:
        message = f"Deleted without finishing: {' '.join(left)} Clean up by hand."
        log.warning("%s: %s", tracker.key, message)
        self.metrics.left_behind()
        self.reporter.tell(tracker, warning=True, reason="LeftBehind", message=message, lasting=True)


def _undeleted(tracker: Tracker, problem: Problem) -> Problem:
    ids = [*tracker.status.obsolete_function_ids, tracker.status.function_id]
    known = ", ".join(str(each) for each in ids if each is not None)
    what = f"Function {known}" if known else f"A function named {naming.function_name(tracker)!r}"
    return Problem("Deleting", f"{what} cannot be deleted in CVAT: {problem.message}", problem.retry_after)
