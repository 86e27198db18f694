"""Carries out what `core.registration` decides: the only place that makes and deletes functions in CVAT."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.core import naming
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
from sam2_operator.core.registration import SETTLE, decide, registered, target_id
from sam2_operator.errors import (
    ConflictError,
    CvatError,
    CvatUnreachableError,
    NotFoundError,
    RateLimitedError,
)

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration, TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.ports import Clock, CvatSession, Kubernetes, Metrics

log = logging.getLogger(__name__)

_MAX_STEPS = 8


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
                    log.info("%s: The registration came to nothing.", tracker.key)
                    tracker = self._write(tracker, decision.status)
                elif isinstance(decision, Keep):
                    return Registered(tracker, function=decision.function)
                else:
                    retry = None if isinstance(decision, Stop) else decision.seconds
                    return Registered(tracker, problem=Problem(decision.reason, decision.message, retry))
                around = None
        except CvatError as error:
            current = self.kube.tracker(tracker.metadata.namespace, tracker.metadata.name)
            return Registered(current or tracker, problem=problem_of(error))
        message = "CVAT gives contradicting answers about the function; it is tried again."
        return Registered(tracker, problem=Problem("CVATInconsistent", message))

    def tidied(self, tracker: Tracker, session: CvatSession) -> TrackerStatus:
        """Delete the functions that were replaced; give the status with what is left to do."""
        obsolete = []
        for function_id in tracker.status.obsolete_function_ids:
            try:
                delete_function(session, function_id)
            except CvatError as error:
                log.warning(
                    "%s: function %d is replaced but not deleted: %s", tracker.key, function_id, error
                )
                obsolete.append(function_id)
        suspected = {*tracker.status.duplicate_function_ids, *self._late(tracker, session)}
        duplicates = sorted(each for each in suspected if not _is_gone(session, each))
        return tracker.status.model_copy(
            update={"obsolete_function_ids": obsolete, "duplicate_function_ids": duplicates}
        )

    def _late(self, tracker: Tracker, session: CvatSession) -> list[int]:
        """Give functions that an earlier attempt made after all: CVAT listed them too late."""
        record, own = tracker.status.function, tracker.status.function_id
        if record is None or record.attempts == 1:
            return []
        excluded = {own, *tracker.status.obsolete_function_ids, *self._claimed(tracker)}
        try:
            return [each.id for each in candidates(record, session.functions(), excluded)]
        except CvatError:
            return []

    def _decide(self, tracker: Tracker, session: CvatSession, around: Surroundings | None) -> Decision:
        wanted = target_id(tracker.spec.function.id, tracker.status)
        return decide(
            View(
                desired=desired(tracker),
                adopt_id=tracker.spec.function.id,
                status=tracker.status,
                current=None if wanted is None else _find(session, wanted),
                around=around,
                claimed=self._claimed(tracker) if around is not None else frozenset(),
                rival=self.ledger.rival(tracker, naming.function_name(tracker))
                if around is not None
                else None,
                instance=self.instance,
                now=self.clock.now(),
            )
        )

    def _claimed(self, tracker: Tracker) -> frozenset[int]:
        if not self.ledger.filled or tracker.status.registration is not None:
            # After a crash, or with another operator about, memory is not enough.
            self.ledger.fill(self.kube.trackers())
        return self.ledger.claimed(tracker)

    def _look_around(self, session: CvatSession) -> Surroundings:
        return Surroundings(session.user(), session.functions())

    def _adopt(self, tracker: Tracker, decision: Adopt) -> Tracker:
        """Write down whose function it is; of two trackers that were given one function, one is first."""
        function_id = decision.status.function_id
        with self.locks.held(f"{tracker.spec.cvat.url.rstrip('/')} {function_id}"):
            if function_id in self.ledger.claimed(tracker):
                raise ConflictError(f"{tracker.key}: another tracker was faster; it is looked at again.")
            log.info("%s: %s", tracker.key, decision.why)
            return self._write(tracker, decision.status)

    def _register(self, tracker: Tracker, session: CvatSession, intent: Registration) -> Tracker:
        """Write the intent, POST, write the id."""
        with self.locks.held(f"{tracker.spec.cvat.url.rstrip('/')} {intent.name}"):
            previous = tracker.status.registration
            started = self.clock.monotonic()
            pending = self._write(tracker, tracker.status.model_copy(update={"registration": intent}))
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
                if fresh is None or not same or fresh.status.registration != intent:
                    # Taken over by another operator, or gone; by CVAT's own answer the function is ours.
                    delete_function(session, function_id)
                    raise
                tracker = fresh

    def _note_duplicates(
        self, tracker: Tracker, session: CvatSession, intent: Registration, function_id: int
    ) -> Tracker:
        """Look once more: something between us and CVAT may have repeated the POST."""
        excluded = {function_id, *self.ledger.claimed(tracker)}
        found = [each.id for each in candidates(intent, session.functions(), excluded)]
        if not found:
            return tracker
        duplicates = sorted({*tracker.status.duplicate_function_ids, *found})
        return self._write(tracker, tracker.status.model_copy(update={"duplicate_function_ids": duplicates}))

    def _write(self, tracker: Tracker, status: TrackerStatus) -> Tracker:
        written = self.kube.write_status(tracker, status)
        self.ledger.note(written)
        return written


def desired(tracker: Tracker) -> Fields:
    """Give the fields that the tracker's function should have."""
    function = tracker.spec.function
    return Fields(naming.function_name(tracker), function.visibility, tuple(sorted(function.shape_types)))


def delete_function(session: CvatSession, function_id: int) -> None:
    """Delete a function that may be gone already."""
    try:
        session.delete(function_id)
    except NotFoundError:
        return


def problem_of(error: CvatError) -> Problem:
    """Turn an error of CVAT into what a condition says."""
    retry = error.retry_after if isinstance(error, RateLimitedError) else None
    return Problem(error.reason, str(error), retry)


def _find(session: CvatSession, function_id: int) -> Function | None:
    try:
        return session.function(function_id)
    except NotFoundError:
        return None


def _is_gone(session: CvatSession, function_id: int) -> bool:
    try:
        return _find(session, function_id) is None
    except CvatError:
        return False
