"""Requests for a function of which CVAT showed nothing within the settle time.

Nobody knows that nothing came of them. They stay in the status for as long as the tracker does, by what was
asked: a function that CVAT lists at last is known for what it is, also when the tracker asks for another one
by then. It is told, and left alone: whoever has the account may have made it as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_operator.api.status import MAX_UNANSWERED, RequestedFunction
from sam2_operator.core.functions import fields_of

if TYPE_CHECKING:
    from sam2_operator.api.status import Registration, TrackerStatus


def given_up(status: TrackerStatus, intent: Registration) -> TrackerStatus:
    """Give the status in which the intent is over and remembered; of equal requests one is, the earliest."""
    alike = [each for each in status.unanswered_requests if _are_alike(each, intent)]
    asked = RequestedFunction(
        name=intent.name,
        visibility=intent.visibility,
        shape_types=intent.shape_types,
        above_id=min(each.above_id for each in (*alike, intent)),
        user_id=intent.user_id,
        username=intent.username,
    )
    others = [each for each in status.unanswered_requests if each not in alike]
    remembered = [*others, asked][-MAX_UNANSWERED:]
    return status.model_copy(update={"registration": None, "unanswered_requests": remembered})


def _are_alike(one: RequestedFunction, other: RequestedFunction) -> bool:
    return one.user_id == other.user_id and fields_of(one) == fields_of(other)
