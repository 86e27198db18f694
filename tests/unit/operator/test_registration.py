"""Which function is the tracker's: every situation between none and several."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sam2_operator.api.status import MAX_UNANSWERED, Registration, TrackerStatus
from sam2_operator.core.functions import (
    Abandon,
    Adopt,
    Fields,
    Keep,
    LookAround,
    Register,
    Stop,
    Surroundings,
    View,
    Wait,
)
from sam2_operator.core.observed import User
from sam2_operator.core.records import registered
from sam2_operator.core.registration import decide
from sam2_operator.core.settlement import Rival
from sam2_operator.core.timestamps import text
from tests.unit.operator.build import NOW, function

ANN, BOB = User(1, "ann"), User(2, "bob")
FIELDS = Fields("cars", "private", ("mask", "polygon"))
RECORD = {
    "name": "cars",
    "visibility": "private",
    "shapeTypes": ["polygon", "mask"],
    "adopted": False,
    "userID": 1,
    "username": "ann",
}


def pending(seconds_ago: float = 0, **changes: Any) -> dict[str, Any]:
    intent = {
        "instance": "operator-0",
        "name": "cars",
        "visibility": "private",
        "shapeTypes": ["mask", "polygon"],
        "aboveID": 10,
        "userID": 1,
        "username": "ann",
        "since": text(NOW - timedelta(seconds=seconds_ago)),
    }
    return {"registration": {**intent, **changes}}


def unanswered(**changes: Any) -> dict[str, Any]:
    asked = pending(**changes)["registration"]
    kept = {key: asked[key] for key in asked if key not in ("instance", "since")}
    return {**kept, "lookUntil": text(NOW)}


def view(status: dict[str, Any] | None = None, *listed: Any, **changes: Any) -> View:
    usual = View(
        key="lab/cars",
        desired=FIELDS,
        adopt_id=None,
        status=TrackerStatus.model_validate(status or {}),
        current=None,
        around=Surroundings(ANN, tuple(listed)),
        claimed=frozenset(),
        rivals=(),
        instance="operator-1",
        now=NOW,
    )
    return replace(usual, **changes)


def rival(seconds_ago: float, **changes: Any) -> Rival:
    intent = Registration.model_validate(pending(seconds_ago, **changes)["registration"])
    return Rival("lab/bikes", intent)


def test_without_a_function_cvat_is_asked_for_all_first() -> None:
    assert decide(view(around=None)) == LookAround()


def test_the_first_registration_remembers_the_highest_id() -> None:
    decision = decide(view(None, function(7, name="other"), function(10, owner_id=2)))
    assert isinstance(decision, Register)
    assert decision.intent.above_id == 10
    assert (decision.intent.instance, decision.intent.username) == ("operator-1", "ann")


def test_the_right_function_is_kept_without_asking_for_others() -> None:
    here = function(11)
    assert decide(view({"functionID": 11, "function": RECORD}, current=here, around=None)) == Keep(here)


@pytest.mark.parametrize(
    "changed",
    [
        Fields("bikes", "private", ("mask", "polygon")),
        Fields("cars", "public", ("mask", "polygon")),
        Fields("cars", "private", ("mask",)),
    ],
)
def test_a_changed_field_is_a_new_function_above_the_old(changed: Fields) -> None:
    status = {"functionID": 11, "function": RECORD}
    decision = decide(view(status, current=function(11), desired=changed))
    assert isinstance(decision, Register)
    assert decision.intent.above_id == 11
    after = registered(TrackerStatus.model_validate(status), decision.intent, 12, NOW)
    assert (after.function_id, after.obsolete_function_ids) == (12, [11])


def test_a_function_that_is_gone_is_registered_again() -> None:
    decision = decide(view({"functionID": 11, "function": RECORD}))
    assert isinstance(decision, Register)


def test_a_function_that_another_account_cannot_see_is_not_gone() -> None:
    decision = decide(view({"functionID": 11, "function": RECORD}, around=Surroundings(BOB, ())))
    assert isinstance(decision, Stop)
    assert decision.reason == "OtherAccount"


def test_one_candidate_of_an_interrupted_registration_is_adopted() -> None:
    decision = decide(view(pending(), function(9), function(11)))
    assert isinstance(decision, Adopt)
    assert decision.status.function_id == 11
    assert decision.status.registration is None


@pytest.mark.parametrize(
    "stranger",
    [
        function(10),
        function(11, name="bikes"),
        function(11, owner_id=2),
        function(11, owner_id=None),
        function(11, kind="detector"),
        function(11, provider="huggingface"),
        function(11, visibility="public"),
        function(11, shape_types=("mask",)),
    ],
)
def test_a_stranger_is_never_adopted(stranger: Any) -> None:
    assert isinstance(decide(view(pending(), stranger)), Wait)


def test_a_function_that_another_tracker_holds_is_never_adopted() -> None:
    assert isinstance(decide(view(pending(), function(11), claimed={11})), Wait)


def test_several_candidates_are_named_and_left_alone() -> None:
    decision = decide(view(pending(3600), function(11), function(12)))
    assert isinstance(decision, Stop)
    assert "11, 12" in decision.message


@pytest.mark.parametrize("seconds", [0, 30, 59])
def test_none_is_waited_for_until_the_settle_time_is_over(seconds: int) -> None:
    decision = decide(view(pending(seconds)))
    assert isinstance(decision, Wait)
    assert decision.seconds == 60 - seconds


@pytest.mark.parametrize("desired", [FIELDS, Fields("bikes", "private", ("mask",))])
def test_none_after_the_settle_time_is_remembered_as_unanswered_whatever_is_wanted_by_then(
    desired: Fields,
) -> None:
    decision = decide(view(pending(60), function(30, name="other"), desired=desired))
    assert isinstance(decision, Abandon)
    assert decision.status.registration is None
    (asked,) = decision.status.unanswered_requests
    assert (asked.name, asked.above_id, asked.user_id) == ("cars", 10, 1)


def test_what_was_not_answered_is_asked_for_again_and_nothing_that_was_there_before_is_taken_for_it() -> None:
    asked = {"unansweredRequests": [unanswered()]}
    decision = decide(view(asked, function(30)))
    assert isinstance(decision, Register)
    assert decision.intent.above_id == 30


@pytest.mark.parametrize("earlier", [3, 20])
def test_equal_requests_are_remembered_once_and_others_beside_them(earlier: int) -> None:
    before = [unanswered(name="bikes", aboveID=5), unanswered(aboveID=earlier)]
    decision = decide(view({"unansweredRequests": before, **pending(60)}))
    assert isinstance(decision, Abandon)
    remembered = [(each.name, each.above_id) for each in decision.status.unanswered_requests]
    assert remembered == [("bikes", 5), ("cars", min(earlier, 10))]


def test_of_more_requests_than_a_status_may_hold_the_last_are_remembered() -> None:
    many = [unanswered(name=f"cars-{number}") for number in range(MAX_UNANSWERED)]
    decision = decide(view({"unansweredRequests": many, **pending(60)}))
    assert isinstance(decision, Abandon)
    status = TrackerStatus.model_validate(decision.status.model_dump(by_alias=True))
    names = [each.name for each in status.unanswered_requests]
    assert names == [*(f"cars-{number}" for number in range(1, MAX_UNANSWERED)), "cars"]


@pytest.mark.parametrize("known", [{"obsoleteFunctionIDs": [11]}, {"duplicateFunctionIDs": [11]}])
def test_a_function_that_the_status_knows_came_of_something_else(known: dict[str, Any]) -> None:
    assert isinstance(decide(view({**pending(), **known}, function(11))), Wait)


def test_an_interrupted_registration_is_settled_by_its_own_fields() -> None:
    decision = decide(view(pending(), function(11), desired=Fields("bikes", "private", ("mask",))))
    assert isinstance(decision, Adopt)
    assert decision.status.function_id == 11


def test_an_interrupted_registration_of_another_account_is_left_to_it() -> None:
    decision = decide(view(pending(3600), around=Surroundings(BOB, ())))
    assert isinstance(decision, Stop)
    assert decision.reason == "OtherAccount"


def test_a_clock_that_was_set_back_only_waits() -> None:
    decision = decide(view(pending(-30)))
    assert isinstance(decision, Wait)
    assert decision.seconds == 60


def test_a_rival_of_the_same_name_goes_first() -> None:
    assert isinstance(decide(view(rivals=[rival(30)])), Wait)


def test_a_rival_that_never_settles_holds_nobody_up() -> None:
    assert isinstance(decide(view(rivals=[rival(60)])), Register)


@pytest.mark.parametrize("age", [0, 30, 59])
def test_what_a_rival_in_flight_may_have_made_is_not_taken(age: int) -> None:
    decision = decide(view(pending(3600), function(11), rivals=[rival(age)]))
    assert isinstance(decision, Wait)
    assert "lab/bikes" in decision.message


def test_of_two_that_settle_late_the_elder_goes_first() -> None:
    elder, younger = pending(200), pending(100)
    assert isinstance(decide(view(elder, function(11), rivals=[rival(100)])), Adopt)
    assert isinstance(decide(view(younger, function(11), rivals=[rival(200)])), Wait)


@pytest.mark.parametrize(("age", "told"), [(100, False), (200, True)])
def test_a_rival_that_goes_first_and_does_not_settle_is_told_to_be_mended(age: int, told: bool) -> None:
    decision = decide(view(pending(90), function(11), rivals=[rival(age)]))
    assert isinstance(decision, Wait)
    assert ("mend or delete the tracker lab/bikes" in decision.message) is told


def test_a_rival_with_other_fields_or_another_account_is_none() -> None:
    others = [rival(0, visibility="public"), rival(0, userID=2)]
    assert isinstance(decide(view(pending(), function(11), rivals=others)), Adopt)


def test_a_function_that_cvat_still_lists_is_not_gone() -> None:
    decision = decide(view({"functionID": 11, "function": RECORD}, function(11)))
    assert isinstance(decision, Wait)
    assert decision.reason == "CVATInconsistent"


@pytest.mark.parametrize("adopt_id", [None, 42])
def test_a_function_of_another_account_is_not_replaced_for_it_could_not_be_deleted(adopt_id: Any) -> None:
    status = {"functionID": 11, "function": {**RECORD, "userID": 2, "username": "bob"}}
    current = function(11 if adopt_id is None else 42, owner_id=2, visibility="public")
    desired = Fields("bikes", "private", ("mask",))
    decision = decide(view(status, current=current, adopt_id=adopt_id, desired=desired))
    assert isinstance(decision, Stop)
    assert decision.reason == "OtherAccount"


@pytest.mark.parametrize("adopt_id", [None, 43])
@pytest.mark.parametrize("left", ["obsoleteFunctionIDs", "duplicateFunctionIDs"])
def test_an_account_is_not_left_while_functions_of_it_are_to_be_deleted(left: str, adopt_id: Any) -> None:
    given = {**RECORD, "userID": 2, "username": "bob", "adopted": True}
    status = {"functionID": 42, "function": given, left: [11]}
    decision = decide(view(status, current=function(adopt_id or 42, visibility="public"), adopt_id=adopt_id))
    assert isinstance(decision, Stop)
    assert decision.reason == "OtherAccount"
    assert "Function 11" in decision.message


def test_a_given_function_that_another_one_has_the_better_right_to_is_given_up() -> None:
    status = {"functionID": 42, "function": {**RECORD, "adopted": True}}
    decision = decide(view(status, adopt_id=42, current=function(42), contested=True))
    assert isinstance(decision, Abandon)
    assert decision.status.function_id is None
    after = view(None, adopt_id=42, current=function(42), claimed={42})
    assert isinstance(stop := decide(replace(after, status=decision.status)), Stop)
    assert stop.reason == "FunctionTaken"


def test_a_given_function_is_adopted_and_never_obsolete() -> None:
    given = function(42, name="theirs")
    decision = decide(view({"functionID": 11, "function": RECORD}, adopt_id=42, current=given))
    assert isinstance(decision, Adopt)
    assert (decision.status.function_id, decision.status.obsolete_function_ids) == (42, [11])
    adopted = decision.status
    assert adopted.function is not None
    assert adopted.function.adopted
    back = decide(replace(view(current=given), status=adopted))
    assert isinstance(back, Register)
    assert registered(adopted, back.intent, 43, NOW).obsolete_function_ids == [11]


def test_a_function_of_ones_own_that_is_given_by_id_is_the_users_from_then_on() -> None:
    own = function(11)
    decision = decide(view({"functionID": 11, "function": RECORD}, own, adopt_id=11, current=own))
    assert isinstance(decision, Adopt)
    assert decision.status.function is not None
    assert (decision.status.function.adopted, decision.status.obsolete_function_ids) == (True, [])
    assert isinstance(decide(replace(view(adopt_id=11, current=own), status=decision.status)), Keep)


@pytest.mark.parametrize(
    ("current", "reason"),
    [
        (None, "FunctionNotFound"),
        (function(42, kind="detector"), "FunctionUnsuitable"),
        (function(42, provider="roboflow"), "FunctionUnsuitable"),
    ],
)
def test_a_given_function_that_cannot_be_served(current: Any, reason: str) -> None:
    decision = decide(view(adopt_id=42, current=current))
    assert isinstance(decision, Stop)
    assert decision.reason == reason
