"""Which tracker holds which function."""

from __future__ import annotations

from typing import Any

from sam2_operator.api.tracker import Tracker
from sam2_operator.core.ledger import Ledger
from tests.unit.operator.build import tracker
from tests.unit.operator.test_registration import pending


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


def test_a_tracker_made_again_is_no_rival_of_itself() -> None:
    ledger = Ledger()
    ledger.note(named("cars", "first", pending()))
    assert ledger.rival(named("bikes", "b"), "cars") == "lab/cars"
    ledger.note(again := named("cars", "second"))
    assert ledger.rival(again, "cars") is None


def test_a_tracker_that_is_gone_holds_nothing() -> None:
    ledger = Ledger()
    ledger.note(named("cars", "a", pending()))
    ledger.forget("lab/cars")
    assert ledger.rival(named("bikes", "b"), "cars") is None
