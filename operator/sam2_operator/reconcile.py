"""One reconcile of one tracker: observe, plan, apply, report.

Level-triggered: whatever woke it, it looks at the whole, decides, changes what differs, and writes the status
if it changed. It keeps nothing between calls that a restart could not lose, and may be interrupted anywhere.
The caller sees to it that a tracker is never reconciled twice at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.api.tracker import FINALIZER, Tracker
from sam2_operator.core import naming
from sam2_operator.core.applied import AppliedMemory
from sam2_operator.core.conditions import (
    agent_finding,
    function_finding,
    gateway_finding,
    ready_finding,
    state_finding,
    word,
)
from sam2_operator.core.explain import explain
from sam2_operator.core.gateway import token_of
from sam2_operator.core.observed import CvatAccess, Problem, StateAccess, Workload
from sam2_operator.core.outcome import Outcome
from sam2_operator.core.plan import Action, Apply, Children, Delete, DeletePod, Refuse, Wishes, plan, refusal
from sam2_operator.core.reading import UnreadableTrackerError
from sam2_operator.core.registration import is_right
from sam2_operator.core.replacement import is_unused
from sam2_operator.core.workload import restart_digest
from sam2_operator.errors import (
    CvatError,
    InvalidObjectError,
    NamespaceTerminatingError,
    OperatorError,
)
from sam2_operator.observer import Observer
from sam2_operator.registrar import Registered, Registrar, desired, problem_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.core.conditions import Finding
    from sam2_operator.core.placement import Defaults
    from sam2_operator.core.ports import Agents, Clock, Cvat, Kubernetes, StateStore
    from sam2_operator.finalizer import Finalizer
    from sam2_operator.reporter import Reporter
    from sam2_operator.sources import SourceReader, Sources

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """Reconciles trackers; safe to use from several threads, for different trackers."""

    kube: Kubernetes
    cvat: Cvat
    store: StateStore
    agents: Agents
    clock: Clock
    sources: SourceReader
    registrar: Registrar
    finalizer: Finalizer
    defaults: Defaults
    reporter: Reporter
    applied: AppliedMemory = field(default_factory=AppliedMemory)

    def reconcile(self, namespace: str, name: str) -> Outcome:
        """Bring one tracker as far as it goes now.

        Raises:
            ConflictError: somebody changed the tracker in between; begin again at once.
            KubernetesError: the API server does not let the operator work.
        """
        now = self.clock.now()
        try:
            tracker = self.kube.tracker(namespace, name)
        except UnreadableTrackerError as error:
            tracker = error.partial  # its end must come; until then it is left as it is
            if tracker.metadata.deletion_timestamp is None:
                self.reporter.report_unread(error.partial)
                return Outcome(exists=True, reason=error.reason)
        if tracker is None:
            return self._gone(f"{namespace}/{name}")
        if tracker.metadata.deletion_timestamp is not None and FINALIZER not in tracker.metadata.finalizers:
            return Outcome(exists=False)  # all is done; others still hold it
        self.registrar.ledger.note(tracker)
        self._forget_ended(tracker.key)
        if tracker.metadata.deletion_timestamp is not None:
            retry = self.finalizer.finalize(tracker)
            return Outcome(exists=retry is not None, reason="Deleting", retry_seconds=retry)
        if FINALIZER not in tracker.metadata.finalizers:
            held = self.kube.set_finalizer(tracker, present=True)
            if held is None:
                return self._gone(tracker.key)  # of what would be made for it now nobody would see the end
            tracker = held

        sources = self.sources.read(tracker)
        registered = self._register(tracker, sources)
        tracker = registered.tracker
        state_problem = self._prepare_state(tracker, sources.state)
        children = self._observe(tracker)
        changed, refused = self._apply(
            tracker, plan(tracker, children, self._wishes(tracker, sources, children), now)
        )
        if changed:
            children = self._observe(tracker)
        status = self._tidied(registered, sources, children.workload)
        function = _function_finding(tracker, status, registered.problem)
        state = state_finding(state_problem)
        suspended, pod = tracker.spec.suspend, children.workload.pod
        agent = agent_finding(refused or explain(children.workload), suspended=suspended)
        ready = ready_finding(function, state, agent, suspended=suspended)
        self.reporter.report(tracker, status, (ready, function, state, agent), pod)
        retry = registered.problem.retry_after if registered.problem is not None else None
        is_ready = ready.status == "True"
        return Outcome(exists=True, ready=is_ready, reason=word(ready.reason), pod=pod, retry_seconds=retry)

    # Observe

    @property
    def _observer(self) -> Observer:
        return Observer(self.kube, self.agents)

    def _observe(self, tracker: Tracker) -> Children:
        with_door = tracker.is_serverless and self.defaults.gateway is not None
        return self._observer.children(tracker, with_door=with_door)

    def _wishes(self, tracker: Tracker, sources: Sources, children: Children) -> Wishes:
        state = sources.state
        managed = isinstance(state, StateAccess) and state.managed_user is not None
        door = token_of(self.defaults.gateway, tracker)
        return Wishes(
            function_id=tracker.status.function_id,
            state_url=state.url if managed and isinstance(state, StateAccess) else None,
            restart_digest=sources.restart_digest or restart_digest(children.workload.stateful_set),
            defaults=self.defaults,
            shared_cache=self._observer.cache_is_shared(tracker),
            door_token=door if isinstance(door, str) else None,
        )

    # Apply

    def _register(self, tracker: Tracker, sources: Sources) -> Registered:
        if isinstance(sources.cvat, Problem):
            return Registered(tracker, problem=sources.cvat)
        self.finalizer.access.note(tracker.metadata.uid, sources)
        if sources.cvat is None:
            door = token_of(self.defaults.gateway, tracker)
            return Registered(tracker, problem=door if isinstance(door, Problem) else None)
        try:
            session = self.cvat.session(sources.cvat)
            registered = self.registrar.ensure(tracker, session)
        except CvatError as error:
            return Registered(tracker, problem=problem_of(error))
        return registered

    def _prepare_state(self, tracker: Tracker, state: StateAccess | Problem) -> Problem | None:
        if isinstance(state, Problem):
            return state
        try:
            if state.managed_user is not None:
                self.store.ensure_user(tracker.metadata.uid)
            else:
                self.store.ping(state)
        except OperatorError as error:
            return Problem(error.reason, str(error))
        return None

    def _apply(self, tracker: Tracker, actions: Iterable[Action]) -> tuple[bool, Problem | None]:
        """Carry out the plan as far as it goes; say whether anything changed and what was refused."""
        changed, refused = False, None
        for action in actions:
            if isinstance(action, Refuse):
                refused = refused or action.problem
                continue
            try:
                changed = self._carry_out(tracker, action) or changed
            except InvalidObjectError as error:
                refused = refused or refusal(action, str(error))
            except NamespaceTerminatingError as error:
                message = "The namespace is being deleted, and the tracker with it."
                refused = refused or Problem(error.reason, message)
        return changed, refused

    def _carry_out(self, tracker: Tracker, action: Apply | Delete | DeletePod) -> bool:
        if isinstance(action, Apply):
            if self.applied.is_settled(tracker.key, action):
                return False
            log.info("%s: applying: %s", tracker.key, action.why)
            if action.overwrite and action.live is not None:
                self.kube.overwrite(action.wanted, action.live)
            self.applied.note(tracker.key, action, self.kube.apply(action.wanted))
        elif isinstance(action, Delete):
            log.info("%s: deleting %s: %s", tracker.key, action.kind, action.why)
            if action.kind == "Secret" and not self._forget_user(tracker):
                return False
            self.kube.delete(action.kind, action.live)
        else:
            log.info("%s: deleting the pod (force: %s): %s", tracker.key, action.force, action.why)
            self.kube.delete_pod(tracker.metadata.namespace, action.pod, force=action.force)
        return True

    def _gone(self, key: str) -> Outcome:
        self.applied.forget(key)
        self.registrar.ledger.end(key)
        self._forget_ended(key)
        return Outcome(exists=False)

    def _forget_ended(self, key: str) -> None:
        """Forget those that ended by force or elsewhere: this operator may have made their users again."""
        for ended in self.registrar.ledger.ended(key):
            self.finalizer.forget(ended.metadata.uid)
            if self._forget_user(ended):
                self.registrar.ledger.forget(ended)

    def _forget_user(self, tracker: Tracker) -> bool:
        """Delete the user of Redis that the Secret is for; until that is done, the Secret stays."""
        try:
            self.store.forget_user(tracker.metadata.uid)
        except OperatorError as error:
            log.warning("%s: its user of Redis is no longer needed but not deleted: %s", tracker.key, error)
            return False
        return True

    def _tidied(self, registered: Registered, sources: Sources, workload: Workload) -> TrackerStatus:
        """Name functions of which there are too many; delete the replaced ones once no agent serves them."""
        status, unused = registered.tracker.status, is_unused(registered.tracker, workload)
        suspicious = status.duplicate_function_ids or status.unanswered_requests
        has_work = suspicious or (unused and status.obsolete_function_ids)
        if not has_work or registered.problem is not None or not isinstance(sources.cvat, CvatAccess):
            return status
        return self.registrar.tidied(registered.tracker, self.cvat.session(sources.cvat), unused=unused)


def _function_finding(tracker: Tracker, status: TrackerStatus, problem: Problem | None) -> Finding:
    if tracker.is_serverless:
        name = naming.gateway_function(tracker.metadata.namespace, tracker.metadata.name)
        return gateway_finding(name, problem)
    return function_finding(
        status.function_id,
        problem,
        status.duplicate_function_ids,
        wanted=is_right(status, tracker.spec.function.id, desired(tracker)),
    )
