"""Which function of CVAT is the tracker's, and what to do next to have one.

CVAT gives functions their ids and takes no key from us, so a request to make one, repeated, makes two. The
order that keeps a tracker at one function, whatever dies in between:

    1. write the intent into the tracker's status: the fields, and the highest function id CVAT has so far
    2. POST
    3. write the id that CVAT answered into the status, in place of the intent

Whoever finds an intent without an id (a crash between 1 and 3, or an answer that was lost) does not know
whether CVAT made the function. It looks for functions with exactly those fields, of the same account, with a
higher id, that no other tracker holds. One is ours. None, again and again until a settle time is over (CVAT
may list late), is taken to mean that none was made; the request is remembered, for what CVAT lists even later
is told (`core.records`). Several cannot be told apart: nothing is done, a condition names them. It is
`core.settlement` that decides.

A function is gone only when CVAT itself says so to the account that had it: an ingress's 404, or another
account's, is a condition and never a second function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam2_operator.api.status import Registration
from sam2_operator.core.functions import (
    Abandon,
    Adopt,
    Keep,
    LookAround,
    Register,
    Stop,
    Wait,
    fields_of,
)
from sam2_operator.core.records import adopted, given_up, known_ids, registered
from sam2_operator.core.settlement import SETTLE, Evidence, Made, Nothing, Several, settle
from sam2_operator.core.timestamps import text

if TYPE_CHECKING:
    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.core.functions import (
        Decision,
        Fields,
        Surroundings,
        View,
    )
    from sam2_operator.core.observed import User
    from sam2_operator.core.settlement import Rival


def target_id(adopt_id: int | None, status: TrackerStatus) -> int | None:
    """Give the id of the function that should be there, if any is known."""
    return adopt_id if adopt_id is not None else status.function_id


def decide(view: View) -> Decision:
    """Say what to do next."""
    pending = view.status.registration
    if pending is None and view.contested:
        nothing = {"function_id": None, "function": None}
        why = f"Function {view.status.function_id} is another tracker's."
        return Abandon(view.status.model_copy(update=nothing), why)
    if pending is None and view.current is not None and is_right(view.status, view.adopt_id, view.desired):
        return Keep(view.current)
    if view.around is None:
        return LookAround()
    if pending is not None:
        return _settle(view, view.around, pending)
    if view.adopt_id is not None:
        return _adopt_given(view, view.adopt_id, view.around.user)
    return _begin(view, view.around)


def _begin(view: View, around: Surroundings) -> Decision:
    status, user = view.status, around.user
    if (anothers := _anothers(status, user)) is not None:
        return Stop("OtherAccount", _other_account(status, anothers, user))
    if view.current is None and status.function_id in {function.id for function in around.listing}:
        return Wait(
            SETTLE.total_seconds() / 4,
            "CVATInconsistent",
            f"CVAT says that there is no function {status.function_id}, and lists it; it is asked again.",
        )
    rival = next((each.key for each in view.rivals if _goes_first(each, view)), None)
    if rival is not None:
        return Wait(
            SETTLE.total_seconds() / 4,
            "Settling",
            f"The tracker {rival} is registering a function of the same name; this one follows.",
        )
    highest = max((function.id for function in around.listing), default=0)
    return Register(_intent(view, user, max(highest, status.function_id or 0)))


def is_right(status: TrackerStatus, adopt_id: int | None, desired: Fields) -> bool:
    """Whether the function recorded is the one that is wanted."""
    record = status.function
    if record is None or status.function_id is None:
        return False
    if adopt_id is not None:
        return record.adopted and status.function_id == adopt_id
    return not record.adopted and fields_of(record) == desired


def _goes_first(rival: Rival, view: View) -> bool:
    return rival.registration.name == view.desired.name and rival.is_in_flight(view.now)


def _settle(view: View, around: Surroundings, intent: Registration) -> Decision:
    user = around.user
    if intent.user_id != user.id:
        return Stop(
            "OtherAccount",
            f"A registration that the account {intent.username} began was interrupted, and the Secret now "
            f"holds the credentials of {user.username}, who cannot see what came of it. Put back the "
            f"credentials of {intent.username}, or delete the tracker and make it again.",
        )
    evidence = Evidence(around.listing, {*view.claimed, *known_ids(view.status)}, view.rivals)
    settled = settle(view.key, intent, evidence, view.now)
    if isinstance(settled, Made):
        return Adopt(
            registered(view.status, intent, settled.function.id, view.now),
            f"Function {settled.function.id} is the one whose registration was interrupted.",
        )
    if isinstance(settled, Several):
        ids = ", ".join(str(function.id) for function in settled.functions)
        return Stop(
            "SeveralFunctions",
            f"A registration was interrupted, and several functions named {intent.name!r} in CVAT may have "
            f"come of it: {ids}. Delete all but one of them in CVAT.",
        )
    if not isinstance(settled, Nothing):
        return Wait(settled.wait.total_seconds(), "Settling", settled.message)
    return Abandon(
        given_up(view.status, intent, view.now), "Nothing came of a registration within the settle time."
    )


def _adopt_given(view: View, function_id: int, user: User) -> Decision:
    function = view.current
    if function is None:
        return Stop(
            "FunctionNotFound",
            f"The account {user.username} sees no function {function_id} in CVAT. Correct spec.function.id, "
            "or remove it to have a function registered.",
        )
    if function.kind != "tracker" or function.provider != "native":
        return Stop(
            "FunctionUnsuitable",
            f"Function {function_id} is of kind {function.kind!r} and provider {function.provider!r}; an "
            "agent can serve only kind 'tracker' of provider 'native'. Correct spec.function.id.",
        )
    if function_id in view.claimed:
        return Stop(
            "FunctionTaken",
            f"Function {function_id} is another tracker's, and a function has one agent. Correct "
            "spec.function.id, or delete the other tracker.",
        )
    if (anothers := _anothers(view.status, user)) is not None:
        return Stop("OtherAccount", _other_account(view.status, anothers, user))
    return Adopt(
        adopted(view.status, function, view.desired, user),
        f"Function {function_id} is given by spec.function.id.",
    )


def _intent(view: View, user: User, above_id: int) -> Registration:
    return Registration.model_validate(
        {
            "instance": view.instance,
            "name": view.desired.name,
            "visibility": view.desired.visibility,
            "shapeTypes": list(view.desired.shape_types),
            "aboveID": above_id,
            "userID": user.id,
            "username": user.username,
            "since": text(view.now),
        }
    )


def _anothers(status: TrackerStatus, user: User) -> int | None:
    """Give a function that another account has to delete: this one can neither see nor delete it.

    The status remembers one account, so that one is not left while anything of it is to be deleted.
    """
    record = status.function
    if record is None or record.user_id == user.id:
        return None
    if not record.adopted and status.function_id is not None:
        return status.function_id
    return next(iter([*status.obsolete_function_ids, *status.duplicate_function_ids]), None)


def _other_account(status: TrackerStatus, function_id: int, user: User) -> str:
    username = status.function.username if status.function is not None else ""
    return (
        f"Function {function_id} was registered by the account {username}, and the Secret now "
        f"holds the credentials of {user.username}, who cannot replace it. Put back the credentials of "
        f"{username}, or delete the tracker and make it again."
    )
