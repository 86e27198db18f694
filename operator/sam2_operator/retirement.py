"""The end of a tracker's functions in CVAT: those recorded, and one made before a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.core.functions import candidates
from sam2_operator.core.observed import Problem
from sam2_operator.core.registration import SETTLE
from sam2_operator.core.timestamps import parse
from sam2_operator.errors import NotFoundError
from sam2_operator.registrar import delete_function

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.ports import Clock, CvatSession


@dataclass(frozen=True, slots=True)
class Retirement:
    """Deletes what can be proven to be the tracker's, and nothing else."""

    clock: Clock
    ledger: Ledger

    def has_work(self, tracker: Tracker) -> bool:
        """Whether CVAT needs to be asked at all."""
        return bool(owned_functions(tracker)) or tracker.status.registration is not None

    def retire(self, tracker: Tracker, session: CvatSession) -> Problem | None:
        """Delete the tracker's functions; give what is not done yet.

        Raises:
            CvatError: CVAT does not do it.
        """
        for function_id in owned_functions(tracker):
            problem = _delete(tracker, session, function_id)
            if problem is not None:
                return problem
        pending = tracker.status.registration
        return None if pending is None else self._settle(tracker, session, pending)

    def _settle(self, tracker: Tracker, session: CvatSession, pending: Registration) -> Problem | None:
        """Delete the function of an interrupted registration, or wait until there is surely none."""
        found = candidates(pending, session.functions(), self.ledger.claimed(tracker))
        if len(found) == 1:
            delete_function(session, found[0].id)
            return None
        if found:
            ids = ", ".join(str(function.id) for function in found)
            return Problem(
                "SeveralFunctions",
                f"one of the functions {ids} is the tracker's, and none can be proven to be.",
            )
        left = SETTLE - (self.clock.now() - parse(pending.since))
        if left.total_seconds() <= 0:
            return None
        return Problem("Settling", "a registration was interrupted, and CVAT may yet show what came of it.")


def owned_functions(tracker: Tracker) -> list[int]:
    """Give the functions to delete: those that were replaced, and the present one unless it is to stay."""
    status, wanted = tracker.status, tracker.spec.function
    adopted = status.function is not None and status.function.adopted
    ids = list(status.obsolete_function_ids)
    if status.function_id is not None and not adopted and wanted.deletion_policy == "Delete":
        ids.append(status.function_id)
    return [each for each in ids if each != wanted.id]


def _delete(tracker: Tracker, session: CvatSession, function_id: int) -> Problem | None:
    try:
        session.delete(function_id)
    except NotFoundError:
        user, record = session.user(), tracker.status.function
        if record is not None and record.user_id != user.id:
            return Problem("OtherAccount", f"{user.username} cannot see what {record.username} registered.")
    return None
