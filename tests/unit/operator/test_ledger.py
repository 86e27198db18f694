"""Which tracker holds which function."""

from __future__ import annotations

from typing import Any

from hypothesis import given as given_
from hypothesis import strategies as st

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
    ledger.end("lab/cars")
    assert ledger.rivals(named("bikes", "b")) == ()


def test_what_is_gone_is_remembered_until_nothing_of_it_is_left() -> None:
    ledger = Ledger()
    ledger.note(first := named("cars", "first"))
    ledger.fill([second := named("cars", "second", version=2)])
    assert ledger.ended("lab/cars") == [first]
    ledger.end("lab/cars")
    assert ledger.ended("lab/cars") == [first, second]
    ledger.forget(first)
    assert (ledger.ended("lab/cars"), ledger.keys()) == ([second], [("lab", "cars")])
    ledger.forget(second)
    assert (ledger.ended("lab/cars"), ledger.keys()) == ([], [])


def test_to_forget_a_tracker_is_not_to_forget_the_next_of_its_name() -> None:
    ledger = Ledger()
    ledger.note(named("cars", "second", {"functionID": 7}, version=2))
    ledger.forget(named("cars", "first"))
    assert ledger.claimed(named("bikes", "b")) == {7}


def given(name: str, uid: str, *, adopted: bool = True) -> Tracker:
    return named(name, uid, {"functionID": 42, "function": {**RECORD, "adopted": adopted}})


def test_of_two_that_were_given_one_function_the_first_by_name_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b"), cars := given("cars", "a")])
    assert ledger.contenders(cars)
    assert not ledger.contenders(bikes)


def test_whoever_had_a_function_made_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b"), cars := given("cars", "a", adopted=False)])
    assert ledger.contenders(bikes)
    assert not ledger.contenders(cars)


def test_of_two_that_settled_for_one_function_the_first_by_name_keeps_it() -> None:
    ledger = Ledger()
    ledger.fill([bikes := given("bikes", "b", adopted=False), cars := given("cars", "a", adopted=False)])
    assert ledger.contenders(cars)
    assert not ledger.contenders(bikes)


@given_(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("uv"), st.none() | st.integers(1, 3), st.booleans())
    )
)
def test_who_serves_a_function_is_what_was_noted_last(
    notes: list[tuple[str, str, int | None, bool]],
) -> None:
    ledger, known = Ledger(), dict[str, tuple[str, int | None]]()
    for version, (name, uid, function_id, there) in enumerate(notes):
        if there:
            status = None if function_id is None else {"functionID": function_id}
            ledger.note(named(name, uid, status, version=version))
            known[name] = uid, function_id
        else:
            ledger.end(f"lab/{name}")
            known.pop(name, None)
        for asked in (1, 2, 3):
            served = any(other != "v" and held == asked for other, held in known.values())
            assert bool(ledger.servers(named("x", "v"), asked)) == served
