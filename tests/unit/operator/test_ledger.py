"""Which tracker holds which function."""

from __future__ import annotations

from typing import Any

from sam2_operator.api.tracker import Tracker
from sam2_operator.core.ledger import Ledger
from tests.unit.operator.build import tracker
from tests.unit.operator.test_registration import RECORD, pending


def named(name: str, uid: str, status: dict[str, Any] | None = None, *, version: int = 1) -> Tracker:
    made = tracker(status)
    identity = {"name": name, "uid": uid, "resource_version": str(version)}
    return made.model_copy(update={"metadata": made.metadata.model_copy(update=identity)})


def test_others_hold_what_their_statuses_say() -> None:
    ledger = Ledger()
    ledger.fill([named("cars", "a", {"functionID": 7}), named("bikes", "b", {"functionID": 8})])
    assert ledger.claimed(named("cars", "a")) == {8}


def test_a_list_read_before_does_not_undo_what_was_written_since() -> None:
    ledger = Ledger()
    ledger.note(named("bikes", "b", {"functionID": 8}, version=5))
    ledger.fill([named("bikes", "b", version=4)])
    assert ledger.claimed(named("cars", "a")) == {8}


def test_a_tracker_read_before_does_not_undo_what_was_written_since() -> None:
    ledger = Ledger()
    ledger.fill([named("bikes", "b", {"functionID": 8}, version=5)])
    ledger.note(named("bikes", "b", version=4))
    assert ledger.claimed(named("cars", "a")) == {8}


def test_a_tracker_made_again_is_no_rival_of_itself() -> None:
    ledger = Ledger()
    ledger.note(named("cars", "first", pending()))
    assert [each.key for each in ledger.rivals(named("bikes", "b"))] == ["lab/cars"]
    ledger.note(again := named("cars", "second"))
    assert ledger.rivals(again) == ()


def test_a_tracker_that_is_gone_holds_nothing() -> None:
    ledger = Ledger()
    ledger.note(named("cars", "a", pending()))
    ledger.forget("lab/cars")
    assert ledger.rivals(named("bikes", "b")) == ()


def given(name: str, uid: str, *, adopted: bool = True) -> Tracker:
    return named(name, uid, {"functionID": 42, "function": {**RECORD, "adopted": adopted}})


def test_of_two_that_were_given_one_function_the_first_by_name_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b"), cars := given("cars", "a")])
    assert ledger.contests(cars)
    assert not ledger.contests(bikes)


def test_whoever_had_a_function_made_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b"), cars := given("cars", "a", adopted=False)])
    assert ledger.contests(bikes)
    assert not ledger.contests(cars)


def test_of_two_that_settled_for_one_function_the_first_by_name_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b", adopted=False), cars := given("cars", "a", adopted=False)])
    assert ledger.contests(cars)
    assert not ledger.contests(bikes)
