"""Functions in CVAT that a tracker no longer needs: those provably its own are deleted, others are named."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sam2_operator.api.status import MAX_FUNCTIONS
from sam2_operator.core.functions import candidates
from sam2_operator.core.records import known_ids
from sam2_operator.core.timestamps import parse
from sam2_operator.errors import CvatError, ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.claims import Claims
    from sam2_operator.core.observed import Function
    from sam2_operator.core.ports import Clock, CvatSession

log = logging.getLogger(__name__)

RECENT = timedelta(seconds=30)
"""No recent list of CVAT's functions is older."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """What a tracker has too many of."""

    claims: Claims
    clock: Clock

    def removed(self, tracker: Tracker, session: CvatSession, *, unused: bool) -> TrackerStatus:
        """Delete what was replaced, if no agent uses it any more, and name what may be the tracker's besides.

        Give the status with what is left to do, for the operator and for people.
        """
        status, record = tracker.status, tracker.status.function
        account = record.user_id if record is not None else None
        obsolete = self._undeleted(tracker, session, account) if unused else status.obsolete_function_ids
        tidy = status.model_copy(update={"obsolete_function_ids": obsolete})
        listing = _listing(session) if status.unanswered_requests else None
        suspected = {*status.duplicate_function_ids, *self._late(tracker, listing or ())}
        others = {status.function_id, *status.given_function_ids, *self.claims.ledger.claimed(tracker)}
        duplicates = [each for each in sorted(suspected - others) if not _is_gone(session, each, account)]
        return self._named(tidy, duplicates) if listing is None else self._searched(tidy, duplicates, listing)

    def _undeleted(self, tracker: Tracker, session: CvatSession, account: int | None) -> list[int]:
        """Delete what was replaced; give what could not be."""
        obsolete = []
        for function_id in tracker.status.obsolete_function_ids:
            if self.claims.serve(tracker, function_id):
                continue
            try:
                delete_function(session, function_id, account)
            except CvatError as error:
                log.warning(
                    "%s: function %d is replaced but not deleted: %s", tracker.key, function_id, error
                )
                obsolete.append(function_id)
        return obsolete

    def _late(self, tracker: Tracker, listing: Collection[Function]) -> list[int]:
        """Give functions not known yet that came of earlier requests after all."""
        known = known_ids(tracker.status)
        return [
            found
            for asked in tracker.status.unanswered_requests
            for found in self.claims.unclaimed(tracker, asked, listing, known)
        ]

    def _searched(
        self, status: TrackerStatus, suspected: Collection[int], listing: Collection[Function]
    ) -> TrackerStatus:
        """Name what still looks like something asked for, and remember what is named or may yet come."""
        requests, now = status.unanswered_requests, self.clock.now()
        listed = {function.id: function for function in listing if function.id in suspected}
        like = {each for asked in requests for each in candidates(asked, listed.values(), ())}
        renamed = listed.keys() - {function.id for function in like}
        remembered = [
            asked
            for asked in requests
            if now < parse(asked.look_until) + RECENT or candidates(asked, listed.values(), ())
        ]
        named = self._named(status, [each for each in suspected if each not in renamed])
        return named.model_copy(update={"unanswered_requests": remembered})

    def _named(self, status: TrackerStatus, duplicates: list[int]) -> TrackerStatus:
        return status.model_copy(update={"duplicate_function_ids": duplicates[:MAX_FUNCTIONS]})


def delete_function(session: CvatSession, function_id: int, account: int | None) -> None:
    """Delete a function that may be gone already, and that this account made if it is given.

    Raises:
        CvatError: it may still be there; also where another account is told that there is none.
    """
    try:
        session.delete(function_id)
    except NotFoundError as error:
        _require_account(session, account, error)


def _require_account(session: CvatSession, account: int | None, error: NotFoundError) -> None:
    """Believe that there is no such function only if whoever is told so would see it."""
    user = session.user()
    if account not in (None, user.id):
        raise ForbiddenError(
            f"The account {user.username} did not make it and may not see it: put back the credentials of "
            "the account that did."
        ) from error


def _listing(session: CvatSession) -> Collection[Function] | None:
    """Give CVAT's functions; None if it does not tell."""
    try:
        return session.recent_functions()
    except CvatError:
        return None


def _is_gone(session: CvatSession, function_id: int, account: int | None) -> bool:
    try:
        session.function(function_id)
    except NotFoundError as error:
        try:
            _require_account(session, account, error)
        except CvatError:
            return False
        return True
    except CvatError:
        return False
    return False
