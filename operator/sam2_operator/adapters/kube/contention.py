"""Writes that hold although somebody else writes the same tracker all the time.

A write is bound to the version that was read:

    operator   read v1 ........ decide ........ write onto v1: refused     read v3 ... refused
    other              label: v2                             status: v3 ...

Whoever labels a tracker, or edits conditions, often enough would keep the operator from ever writing. So a
refused write is looked at: it holds for the version there is now, if that differs in nothing that the
decision was made from. A changed spec, a deletion, or another operator's word about the function ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sam2_operator.core.conditions import withdrawn
from sam2_operator.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.api.tracker import Tracker

Written = TypeVar("Written")

_TRIES = 12
_TOLD = frozenset({"conditions", "agent", "model", "observed_generation"})
"""Fields of the status that only tell what was found; nothing is decided from them."""


def insist(
    tracker: Tracker, read: Callable[[], Tracker | None], write: Callable[[Tracker], Written]
) -> Written:
    """Write onto the tracker that was read, or onto a later version that asks for the same.

    Raises:
        ConflictError: the tracker changed in what matters, or is gone, or was never left alone.
    """
    seen = tracker
    for _ in range(_TRIES - 1):
        try:
            return write(seen)
        except ConflictError:
            live = read()
            if live is None or _matters(live) != _matters(tracker):
                raise
            seen = live
    return write(seen)


def retold(status: TrackerStatus, tracker: Tracker, seen: Tracker, now: datetime) -> TrackerStatus:
    """Give a status for the version that was seen last: what it only copies of the first, it copies of that.

    Else one operator, writing down a function, would take back what another one has told meanwhile. But that
    the tracker is ready was told of the function that it had: a change of that takes it back, whoever told.
    """
    copied = {each for each in _TOLD if getattr(status, each) == getattr(tracker.status, each)}
    result = status.model_copy(update={each: getattr(seen.status, each) for each in copied})
    if _function(result) == _function(seen.status):
        return result
    told = withdrawn(result.conditions, seen.metadata.generation, now)
    return result.model_copy(update={"conditions": told})


def _function(status: TrackerStatus) -> tuple[object, ...]:
    return status.function_id, status.function, status.registration


def _matters(tracker: Tracker) -> tuple[object, ...]:
    metadata = tracker.metadata
    decided = tracker.status.model_dump(exclude=set(_TOLD))
    finalizers = sorted(metadata.finalizers)
    return metadata.uid, metadata.generation, metadata.deletion_timestamp, finalizers, decided
