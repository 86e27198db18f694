"""Makes a function in CVAT so that a crash, a lost reply or a second operator never makes two.

The intent is in the tracker's status before CVAT is asked, and the function's id takes its place afterwards.
Whoever finds an intent knows that CVAT may have been asked, with which fields and since when
(`core.settlement`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.core.functions import fields_of
from sam2_operator.core.records import registered
from sam2_operator.core.settlement import SETTLE
from sam2_operator.core.timestamps import text
from sam2_operator.errors import ConflictError, CvatError, CvatUnreachableError
from sam2_operator.surplus import delete_function

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration, TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.claims import Claims
    from sam2_operator.core.locks import KeyedLocks
    from sam2_operator.core.ports import CvatSession, Metrics
    from sam2_operator.status_writer import StatusWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FunctionMaker:
    """Makes functions of different trackers at once, but those of the same name one after the other."""

    status: StatusWriter
    claims: Claims
    locks: KeyedLocks
    metrics: Metrics

    def make(self, tracker: Tracker, session: CvatSession, intent: Registration) -> Tracker:
        """Write the intent, POST, write the id.

        Raises:
            ConflictError: the tracker changed in between; begin again.
            CvatError: CVAT refused, and the intent is withdrawn; or nobody knows, and it stays.
        """
        with self.locks.held(f"{tracker.spec.cvat.root} {intent.name}"):
            now, rivals = self.status.clock.now(), self.status.ledger.rivals(tracker)
            if any(each.registration.name == intent.name and each.is_in_flight(now) for each in rivals):
                raise ConflictError(f"{tracker.key}: another tracker was faster; it is looked at again.")
            started = self.status.clock.monotonic()
            # Those of the same name may have had the lock for longer than CVAT has to settle.
            intent = intent.model_copy(update={"since": text(now)})
            status = tracker.status.model_copy(update={"registration": intent})
            pending = self.status.write(tracker, status)
            if self.status.clock.monotonic() - started > SETTLE.total_seconds() / 2:
                # Whoever found the intent meanwhile may be about to decide that nothing came of it.
                raise ConflictError(
                    f"{tracker.key}: writing the intent took too long; it is looked at again."
                )
            try:
                function_id = session.register(fields_of(intent))
            except CvatUnreachableError:
                raise  # it may have been made: the intent stays
            except CvatError:
                self.status.write(pending, pending.status.model_copy(update={"registration": None}))
                raise
            log.info("%s: registered function %d in CVAT", tracker.key, function_id)
            self.metrics.registered()
            return self._record(pending, session, intent, function_id)

    def _record(
        self, tracker: Tracker, session: CvatSession, intent: Registration, function_id: int
    ) -> Tracker:
        """Write the id in place of the intent, also when others changed the tracker meanwhile."""
        while True:
            try:
                now = self.status.clock.now()
                return self.status.write(tracker, registered(tracker.status, intent, function_id, now))
            except ConflictError:
                fresh = self.status.kube.tracker(tracker.metadata.namespace, tracker.metadata.name)
                same = fresh is not None and fresh.metadata.uid == tracker.metadata.uid
                if fresh is not None and same and fresh.status.function_id == function_id:
                    return fresh  # another operator found it first, or this one's answer was lost on its way
                if fresh is None or not same:
                    self._give_back(tracker, session, function_id)
                    raise
                if fresh.status.registration != intent:
                    if _account(fresh.status) != intent.user_id:
                        # Taken over with other credentials, which could not delete this function later; or
                        # given up, and nothing would say which credentials can.
                        self._give_back(fresh, session, function_id)
                        raise
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
            self.status.write(tracker, tracker.status.model_copy(update={"obsolete_function_ids": obsolete}))
        raise ConflictError(f"{tracker.key}: another operator took over; it is looked at again.")

    def _give_back(self, tracker: Tracker, session: CvatSession, function_id: int) -> None:
        """Delete what was made for nobody any more: CVAT itself said whose it is."""
        if self.claims.serve(tracker, function_id):
            return  # another tracker's registration, interrupted too, settled for it
        try:
            delete_function(session, function_id, None)
        except CvatError as error:
            self.metrics.left_behind()
            message = "%s: function %d in CVAT was made too late and is not deleted, delete it by hand: %s"
            log.warning(message, tracker.key, function_id, error)


def _account(status: TrackerStatus) -> int | None:
    """Give the account that the tracker's function is of, or is being asked for by."""
    record = status.registration or status.function
    return None if record is None else record.user_id
