"""What a tracker's status says of its functions, and how that changes.

A request of which CVAT showed nothing within the settle time is given up, but nobody knows that nothing came
of it. It stays in the status for a day, by what was asked: a function that CVAT lists at last is known for
what it is, also when the tracker asks for another one by then. It is told, and left alone: whoever has the
account may have made it as well. A request that CVAT answered stays for the settle time, for something on
the way may have repeated it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sam2_operator.api.status import (
    MAX_FUNCTIONS,
    MAX_UNANSWERED,
    RegisteredFunction,
    UnansweredRequest,
)
from sam2_operator.core.functions import fields_of
from sam2_operator.core.settlement import SETTLE
from sam2_operator.core.timestamps import text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sam2_operator.api.status import Registration, TrackerStatus
    from sam2_operator.core.functions import Fields
    from sam2_operator.core.observed import Function, User


REMEMBERED = timedelta(days=1)
"""For how long a function is looked for that CVAT was asked for and did not show."""


def known_ids(status: TrackerStatus) -> set[int]:
    """Give the functions that the status names: none of them comes of a registration under way."""
    current = () if status.function_id is None else (status.function_id,)
    others = (status.given_function_ids, status.obsolete_function_ids, status.duplicate_function_ids)
    return set(current).union(*others)


def registered(status: TrackerStatus, intent: Registration, function_id: int, now: datetime) -> TrackerStatus:
    """Give the status in which the intent's function is the tracker's, and its predecessor obsolete.

    The request is remembered until it is known that nothing else came of it.
    """
    record = RegisteredFunction(
        name=intent.name,
        visibility=intent.visibility,
        shape_types=intent.shape_types,
        adopted=False,
        user_id=intent.user_id,
        username=intent.username,
    )
    return status.model_copy(
        update={
            "function_id": function_id,
            "function": record,
            "registration": None,
            "obsolete_function_ids": _with_predecessor(status, function_id),
            "unanswered_requests": _remembered(status, intent, until=now + SETTLE),
        }
    )


def adopted(status: TrackerStatus, function: Function, desired: Fields, user: User) -> TrackerStatus:
    """Give the status in which a function that people gave is the tracker's, and its predecessor obsolete."""
    record = RegisteredFunction.model_validate(
        {
            "name": function.name,
            "visibility": function.visibility,
            "shapeTypes": list(desired.shape_types),
            "adopted": True,
            "userID": user.id,
            "username": user.username,
        }
    )
    given = [*_without(function.id, status.given_function_ids), function.id]
    return status.model_copy(
        update={
            "function_id": function.id,
            "function": record,
            "given_function_ids": given[-MAX_FUNCTIONS:],
            "obsolete_function_ids": _with_predecessor(status, function.id),
            "duplicate_function_ids": _without(function.id, status.duplicate_function_ids),
        }
    )


def given_up(status: TrackerStatus, intent: Registration, now: datetime) -> TrackerStatus:
    """Give the status in which the intent is over and remembered."""
    remembered = _remembered(status, intent, until=now + REMEMBERED)
    return status.model_copy(update={"registration": None, "unanswered_requests": remembered})


def equal_requests(status: TrackerStatus, intent: Registration) -> list[UnansweredRequest]:
    """Give the requests without an answer that may have made what the intent may have made."""
    return [
        each
        for each in status.unanswered_requests
        if each.user_id == intent.user_id and fields_of(each) == fields_of(intent)
    ]


def _remembered(status: TrackerStatus, intent: Registration, *, until: datetime) -> list[UnansweredRequest]:
    """Add a request; of equal ones there is one, which counts from the earliest until the latest."""
    equal = equal_requests(status, intent)
    asked = UnansweredRequest(
        name=intent.name,
        visibility=intent.visibility,
        shape_types=intent.shape_types,
        above_id=min(each.above_id for each in (*equal, intent)),
        user_id=intent.user_id,
        username=intent.username,
        look_until=max([text(until), *(each.look_until for each in equal)]),
    )
    others = [each for each in status.unanswered_requests if each not in equal]
    return [*others, asked][-MAX_UNANSWERED:]


def _with_predecessor(status: TrackerStatus, function_id: int) -> list[int]:
    """Add the function that is being replaced, if the operator made it."""
    obsolete = _without(function_id, status.obsolete_function_ids)
    previous = status.function_id
    made_by_us = status.function is not None and not status.function.adopted
    if previous is not None and previous not in {function_id, *obsolete} and made_by_us:
        obsolete.append(previous)
    return obsolete


def _without(function_id: int, ids: Iterable[int]) -> list[int]:
    return [each for each in ids if each != function_id]
