"""The end of a tracker's state: its keys, and its user in the Redis that was installed with the operator.

A Redis of the user's own may be out of reach for good, with the Secret that led there. Keys expire by
themselves, so nobody is held for them; but what annotators drew stays there until then, and that is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sam2_operator.core import naming
from sam2_operator.core.observed import Problem
from sam2_operator.core.ownership import is_owned
from sam2_operator.core.reading import UnreadableTrackerError, lacks
from sam2_operator.core.records import known_ids
from sam2_operator.errors import OperatorError

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import StateAccess
    from sam2_operator.core.ports import Kubernetes, StateStore

log = logging.getLogger(__name__)

ONLY_TOLD = "OnlyTold"
"""Why a tracker is let go although something of it is left: nobody waits for that."""

_GONE = frozenset({"StateSecretMissing", "CABundleMissing", UnreadableTrackerError.reason})
"""Why there is no access to a Redis, where trying again gives none."""
_AT_ONCE = 0.1


@dataclass(frozen=True, slots=True)
class Purging:
    """Deletes the keys of trackers."""

    kube: Kubernetes
    store: StateStore

    def purge(self, tracker: Tracker, place: StateAccess | Problem) -> Problem | None:
        """Delete a tracker's keys; where there can be none but such as expire soon, only try to.

        Raises:
            OperatorError: the operator's own Redis cannot be used, or the API server does not answer.
        """
        managed = self.store.managed(tracker.metadata.uid)
        if isinstance(place, Problem):
            problem = self._unreached(tracker, place)
        else:
            problem = self._purge(tracker, place)
        if managed is None or managed == place:
            return problem
        # A tracker that was moved to a Redis of its own may have left keys and a user in the operator's.
        left_there = self._purge(tracker, managed)
        if left_there is not None and not self._uses_managed(tracker):
            log.warning("%s: %s Its keys, if there are any, expire.", tracker.key, left_there.message)
            return problem
        if problem is not None and left_there is not None:
            return replace(left_there, message=f"{problem.message} {left_there.message}")
        return problem or left_there

    def _purge(self, tracker: Tracker, place: StateAccess) -> Problem | None:
        prefix = naming.key_prefix(tracker.metadata.uid)
        try:
            done = self.store.purge(place, prefix)
        except OperatorError as error:
            message = f"The tracks {prefix}* cannot be deleted: {error} They expire by themselves."
            return Problem("Deleting", message)
        return None if done else Problem("Deleting", f"The tracks {prefix}* are being deleted.", _AT_ONCE)

    def _unreached(self, tracker: Tracker, why: Problem) -> Problem | None:
        """Tell of keys in a Redis of the user's own to which nothing leads any more, if there can be any."""
        state = tracker.spec.state
        if lacks(tracker, "state"):
            is_own, life = not self._uses_managed(tracker), ""
        else:
            is_own = state.url is not None or state.secret_ref is not None
            life = f", {state.ttl} after their last use"
        if not is_own or not _may_have_run(tracker):
            return None
        prefix = naming.key_prefix(tracker.metadata.uid)
        message = f"The tracks {prefix}* cannot be deleted: {why.message} They expire by themselves{life}."
        return Problem(ONLY_TOLD if why.reason in _GONE else "Deleting", message)

    def _uses_managed(self, tracker: Tracker) -> bool:
        """Whether the tracker still has a user of the operator's Redis: its Secret goes after the user."""
        name = naming.state_secret_name(tracker.metadata.name)
        live = self.kube.get("Secret", tracker.metadata.namespace, name)
        return live is not None and is_owned(tracker, live)


def _may_have_run(tracker: Tracker) -> bool:
    """Whether there may ever have been an agent: one of CVAT's queue is made for a function that there is."""
    status = tracker.status
    asked = status.registration is not None or bool(status.unanswered_requests)
    return tracker.is_serverless or lacks(tracker, "cvat", "status") or asked or bool(known_ids(status))
