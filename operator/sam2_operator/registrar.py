"""Carries out what `core.registration` decides: the only place that makes and deletes functions in CVAT."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.claims import Claims
from sam2_operator.core import naming
from sam2_operator.core.conditions import withdrawn
from sam2_operator.core.functions import (
    Abandon,
    Adopt,
    Decision,
    Fields,
    Keep,
    LookAround,
    Register,
    Stop,
    Surroundings,
    View,
    candidates,
    fields_of,
)
from sam2_operator.core.locks import KeyedLocks
from sam2_operator.core.observed import Function, Problem
from sam2_operator.core.registration import decide, registered, target_id
from sam2_operator.core.settlement import SETTLE
from sam2_operator.errors import (
    ConflictError,
    CvatError,
    CvatUnreachableError,
    NotFoundError,
    OthersFirstError,
    RateLimitedError,
)
from sam2_operator.surplus import Surplus, delete_function

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration, TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.ports import Clock, CvatSession, Kubernetes, Metrics

log = logging.getLogger(__name__)

_MAX_STEPS = 8
_ANSWERED = frozenset(
    {
        "AccessDenied",
        "FunctionNotFound",
        "FunctionTaken",
        "FunctionUnsuitable",
        "OrganizationUnknown",
        "OtherAccount",
        "SeveralFunctions",
    }
)
"""Reasons that came of what CVAT answered. Others, as a Secret that was missing, may be known to be over."""


@dataclass(frozen=True, slots=True)
class Registered:
    """How the registration stands: the tracker as it is now, and the function or why there is none."""

    tracker: Tracker
    function: Function | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Registrar:
    """Keeps each tracker at one function."""

    kube: Kubernetes
    clock: Clock
    ledger: Ledger
    instance: str
    metrics: Metrics
    locks: KeyedLocks = field(default_factory=KeyedLocks)

    def ensure(self, tracker: Tracker, session: CvatSession) -> Registered:
        """Bring the registration as far as it goes now.

        Raises:
            ConflictError: the tracker changed in between; begin again.
            KubernetesError: the status could not be written.
        """
        around: Surroundings | None = None
        try:
            for _ in range(_MAX_STEPS):
                decision = self._decide(tracker, session, around)
                if isinstance(decision, LookAround):
                    around = self._look_around(session)
                    continue
                if isinstance(decision, Register):
                    tracker = self._register(tracker, session, decision.intent)
                elif isinstance(decision, Adopt):
                    tracker = self._adopt(tracker, decision)
                elif isinstance(decision, Abandon):
                    log.info("%s: %s", tracker.key, decision.why)
                    tracker = self._write(tracker, self._unready(tracker, decision.status))
                elif isinstance(decision, Keep):
                    return Registered(tracker, function=decision.function)
                else:
                    retry = None if isinstance(decision, Stop) else decision.seconds
                    return Registered(tracker, problem=Problem(decision.reason, decision.message, retry))
                around = None
        except CvatError as error:
            current = self.kube.tracker(tracker.metadata.namespace, tracker.metadata.name) or tracker
            known = _known_problem(current) if isinstance(error, OthersFirstError) else None
            return Registered(current, problem=known or problem_of(error))
        message = "CVAT gives contradicting answers about the function; it is tried again."
        return Registered(tracker, problem=Problem("CVATInconsistent", message))

    def tidied(self, tracker: Tracker, session: CvatSession) -> TrackerStatus:
        """Delete the functions that were replaced; give the status with what is left to do."""
        return Surplus(self._claims).removed(tracker, session)

    @property
    def _claims(self) -> Claims:
        return Claims(self.kube, self.ledger)

    def _decide(self, tracker: Tracker, session: CvatSession, around: Surroundings | None) -> Decision:
        adopt_id = tracker.spec.function.id
        wanted = target_id(adopt_id, tracker.status)
        if tracker.status.registration is not None:
            wanted = None  # that is settled first, by an account that may not see what is wanted now
        looks = around is not None
        claimed = self._claims.of_others(tracker, fresh=adopt_id is not None) if looks else ()
        return decide(
            View(
                key=tracker.key,
                desired=desired(tracker),
                adopt_id=adopt_id,
                status=tracker.status,
                current=None if wanted is None else _find(session, wanted),
                around=around,
                claimed=claimed,
                rivals=self.ledger.rivals(tracker) if looks else (),
                instance=self.instance,
                now=self.clock.now(),
                contested=self._claims.contest(tracker),
            )
        )

    def _look_around(self, session: CvatSession) -> Surroundings:
        return Surroundings(session.user(), session.functions())

    def _adopt(self, tracker: Tracker, decision: Adopt) -> Tracker:
        """Write down whose function it is; of two trackers that were given one function, one is first."""
        function_id = decision.status.function_id
        with self.locks.held(f"{tracker.spec.cvat.url.rstrip('/')} {function_id}"):
            if function_id in self.ledger.claimed(tracker):
                raise ConflictError(f"{tracker.key}: another tracker was faster; it is looked at again.")
            log.info("%s: %s", tracker.key, decision.why)
            return self._write(tracker, self._unready(tracker, decision.status))

    def _register(self, tracker: Tracker, session: CvatSession, intent: Registration) -> Tracker:
        """Write the intent, POST, write the id."""
        now = self.clock.now()
        with self.locks.held(f"{tracker.spec.cvat.url.rstrip('/')} {intent.name}"):
            rivals = self.ledger.rivals(tracker)
            if any(each.registration.name == intent.name and each.is_in_flight(now) for each in rivals):
                raise ConflictError(f"{tracker.key}: another tracker was faster; it is looked at again.")
            previous = tracker.status.registration
            started = self.clock.monotonic()
            status = tracker.status.model_copy(update={"registration": intent})
            pending = self._write(tracker, self._unready(tracker, status))
            if self.clock.monotonic() - started > SETTLE.total_seconds() / 2:
                # Whoever found the intent meanwhile may be about to decide that nothing came of it.
                raise ConflictError(
                    f"{tracker.key}: writing the intent took too long; it is looked at again."
                )
            try:
                function_id = session.register(fields_of(intent))
            except CvatUnreachableError:
                raise  # it may have been made: the intent stays
            except CvatError:
                self._write(pending, pending.status.model_copy(update={"registration": previous}))
                raise
            log.info("%s: registered function %d in CVAT", tracker.key, function_id)
            self.metrics.registered()
            recorded = self._record(pending, session, intent, function_id)
        return self._note_duplicates(recorded, session, intent, function_id)

    def _record(
        self, tracker: Tracker, session: CvatSession, intent: Registration, function_id: int
    ) -> Tracker:
        """Write the id in place of the intent, also when others changed the tracker meanwhile."""
        while True:
            try:
                return self._write(tracker, registered(tracker.status, intent, function_id))
            except ConflictError:
                fresh = self.kube.tracker(tracker.metadata.namespace, tracker.metadata.name)
                same = fresh is not None and fresh.metadata.uid == tracker.metadata.uid
                if fresh is not None and same and fresh.status.function_id == function_id:
                    return fresh  # another operator found it first, or this one's answer was lost on its way
                if fresh is None or not same:
                    self._give_back(tracker, session, function_id)
                    raise
                if fresh.status.registration != intent:
                    # Taken over by another operator; by CVAT's own answer this function is ours, too.
                    return self._record_surplus(fresh, function_id)
                tracker = fresh

    def _record_surplus(self, tracker: Tracker, function_id: int) -> Tracker:
        """Write down a function that came too late, to be deleted.

        Raises:
            ConflictError: always; what is to be done next is decided anew.
        """
        if function_id not in tracker.status.obsolete_function_ids:
            obsolete = [*tracker.status.obsolete_function_ids, function_id]
            self._write(tracker, tracker.status.model_copy(update={"obsolete_function_ids": obsolete}))
        raise ConflictError(f"{tracker.key}: another operator took over; it is looked at again.")

    def _give_back(self, tracker: Tracker, session: CvatSession, function_id: int) -> None:
        """Delete what was made for a tracker that is gone meanwhile: CVAT itself said whose it is."""
        try:
            delete_function(session, function_id, None)
        except CvatError as error:
            self.metrics.left_behind()
            message = "%s: it is gone, but not function %d in CVAT, delete it by hand: %s"
            log.warning(message, tracker.key, function_id, error)

    def _note_duplicates(
        self, tracker: Tracker, session: CvatSession, intent: Registration, function_id: int
    ) -> Tracker:
        """Look once more: something between us and CVAT may have repeated the POST."""
        listing, own = session.functions(), {function_id, *tracker.status.obsolete_function_ids}
        if not candidates(intent, listing, own):
            return tracker  # as usual: nothing for which to ask what all other trackers hold
        others = self._claims.of_others(tracker, fresh=True)
        found = [each.id for each in candidates(intent, listing, {*own, *others})]
        duplicates = sorted({*tracker.status.duplicate_function_ids, *found})
        if duplicates == tracker.status.duplicate_function_ids:
            return tracker
        return self._write(tracker, tracker.status.model_copy(update={"duplicate_function_ids": duplicates}))

    def _unready(self, tracker: Tracker, status: TrackerStatus) -> TrackerStatus:
        """Take back that the tracker is ready: its agent does not serve the function that it will have."""
        told = withdrawn(status.conditions, tracker.metadata.generation, self.clock.now())
        return status.model_copy(update={"conditions": told})

    def _write(self, tracker: Tracker, status: TrackerStatus) -> Tracker:
        written = self.kube.write_status(tracker, status)
        self.ledger.note(written)
        return written


def desired(tracker: Tracker) -> Fields:
    """Give the fields that the tracker's function should have."""
    function = tracker.spec.function
    return Fields(naming.function_name(tracker), function.visibility, tuple(sorted(function.shape_types)))


def problem_of(error: CvatError) -> Problem:
    """Turn an error of CVAT into what a condition says."""
    retry = error.retry_after if isinstance(error, RateLimitedError) else None
    return Problem(error.reason, str(error), retry)


def _known_problem(tracker: Tracker) -> Problem | None:
    """Give what kept a tracker from having a function when CVAT was asked last, as its condition says.

    It stands while nobody asks: else each slow moment of CVAT would be told in its place, and an event made.
    """
    if tracker.status.function_id is not None:
        return None
    for each in tracker.status.conditions:
        is_current = each.observed_generation == tracker.metadata.generation
        if each.type == "FunctionRegistered" and each.reason in _ANSWERED and is_current:
            return Problem(each.reason, each.message)
    return None


def _find(session: CvatSession, function_id: int) -> Function | None:
    try:
        return session.function(function_id)
    except NotFoundError:
        return None
