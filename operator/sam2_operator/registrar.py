"""Carries out what `core.registration` decides; `maker` makes functions in CVAT, `surplus` deletes them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.claims import Claims
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
)
from sam2_operator.core.locks import KeyedLocks
from sam2_operator.core.observed import Function, Problem
from sam2_operator.core.registration import decide, target_id
from sam2_operator.errors import (
    ConflictError,
    CvatError,
    NotFoundError,
    OthersFirstError,
    RateLimitedError,
)
from sam2_operator.maker import FunctionMaker
from sam2_operator.status_writer import StatusWriter
from sam2_operator.surplus import Surplus

if TYPE_CHECKING:
    from sam2_operator.api.status import TrackerStatus
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
                    maker = FunctionMaker(self._status, self._claims, self.locks, self.metrics)
                    tracker = maker.make(tracker, session, decision.intent)
                elif isinstance(decision, Adopt):
                    tracker = self._adopt(tracker, decision)
                elif isinstance(decision, Abandon):
                    log.info("%s: %s", tracker.key, decision.why)
                    tracker = self._status.write(tracker, decision.status)
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

    def tidied(self, tracker: Tracker, session: CvatSession, *, unused: bool) -> TrackerStatus:
        """Deal with functions of which there are too many; the replaced ones may be `unused` by now."""
        return Surplus(self._claims, self.clock).removed(tracker, session, unused=unused)

    @property
    def _claims(self) -> Claims:
        return Claims(self.kube, self.ledger)

    def _decide(self, tracker: Tracker, session: CvatSession, around: Surroundings | None) -> Decision:
        adopt_id = tracker.spec.function.id
        wanted = target_id(adopt_id, tracker.status)
        if tracker.status.registration is not None:
            wanted = None  # that is settled first, by an account that may not see what is wanted now
        looks = around is not None
        claimed = self._claims.of_others(tracker, given=adopt_id) if looks else ()
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
        with self.locks.held(f"{tracker.spec.cvat.root} {function_id}"):
            if function_id is not None and self._claims.hold(tracker, function_id):
                raise ConflictError(f"{tracker.key}: another tracker was faster; it is looked at again.")
            log.info("%s: %s", tracker.key, decision.why)
            return self._status.write(tracker, decision.status)

    @property
    def _status(self) -> StatusWriter:
        return StatusWriter(self.kube, self.ledger, self.clock)


def desired(tracker: Tracker) -> Fields:
    """Give the fields that the tracker's function should have."""
    function = tracker.spec.function
    return Fields(naming.function_name(tracker), function.visibility, tuple(sorted(function.shape_types)))


def problem_of(error: CvatError) -> Problem:
    """Turn an error of CVAT into what a condition says."""
    retry = error.retry_after if isinstance(error, RateLimitedError) else None
    return Problem(error.reason, str(error), retry)


def _known_problem(tracker: Tracker) -> Problem | None:
    """Give what kept a tracker from the function it asks for when CVAT was asked last, as its condition says.

    It stands while nobody asks: else each slow moment of CVAT would be told in its place, and an event made.
    """
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
