"""The end of a tracker's functions in CVAT: those recorded, and one made before a crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.core.observed import Problem
from sam2_operator.core.records import equal_requests, known_ids
from sam2_operator.core.settlement import Evidence, Made, Several, Unsettled, settle
from sam2_operator.surplus import delete_function

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.claims import Claims
    from sam2_operator.core.ports import Clock, CvatSession


@dataclass(frozen=True, slots=True)
class Retirement:
    """Deletes what can be proven to be the tracker's, and nothing else."""

    clock: Clock
    claims: Claims

    def has_work(self, tracker: Tracker) -> bool:
        """Whether CVAT needs to be asked at all."""
        return bool(owned_functions(tracker)) or tracker.status.registration is not None

    def retire(self, tracker: Tracker, session: CvatSession) -> Problem | None:
        """Delete the tracker's functions; give what is not done yet.

        Raises:
            CvatError: CVAT does not do it.
        """
        record = tracker.status.function
        for function_id in owned_functions(tracker):
            if self.claims.serve(tracker, function_id):
                continue  # it lost a contest for it
            delete_function(session, function_id, record.user_id if record is not None else None)
        pending = tracker.status.registration
        return None if pending is None else self._settle(tracker, session, pending)

    def _settle(self, tracker: Tracker, session: CvatSession, pending: Registration) -> Problem | None:
        """Delete the function of an interrupted registration, or wait until there is surely none."""
        user, listing = session.user(), session.functions()
        if user.id != pending.user_id:
            return Problem("OtherAccount", f"{user.username} cannot see what {pending.username} began.")
        given = tracker.spec.function.id
        excluded = self.claims.of_others(tracker) | known_ids(tracker.status) | ({given} if given else set())
        evidence = Evidence(listing, excluded, self.claims.ledger.rivals(tracker))
        settled = settle(tracker.key, pending, evidence, self.clock.now())
        if isinstance(settled, Made):
            delete_function(session, settled.function.id, user.id)
            # An earlier request may have made it; then what came of this one is yet to be shown.
            return _settling() if equal_requests(tracker.status, pending) else None
        if isinstance(settled, Several):
            ids = ", ".join(str(function.id) for function in settled.functions)
            return Problem(
                "SeveralFunctions",
                f"one of the functions {ids} is the tracker's, and none can be proven to be.",
            )
        if isinstance(settled, Unsettled):
            return _settling(settled.message)
        return None


def _settling(
    message: str = "A registration was interrupted, and CVAT may yet show what came of it.",
) -> Problem:
    return Problem("Settling", message)


def owned_functions(tracker: Tracker) -> list[int]:
    """Give the functions to delete: those that were replaced, and the present one unless it is to stay."""
    status, wanted = tracker.status, tracker.spec.function
    adopted = status.function is not None and status.function.adopted
    ids = list(status.obsolete_function_ids)
    if status.function_id is not None and not adopted and wanted.deletion_policy == "Delete":
        ids.append(status.function_id)
    return [each for each in ids if each != wanted.id]
