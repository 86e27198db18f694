"""What seeds found, made small: each of these went wrong once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.cvat.sightings import FRESH_SECONDS
from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.claims import Claims
from sam2_operator.core.ledger import Ledger
from sam2_operator.errors import ConflictError, KubernetesError, OthersFirstError
from sam2_operator.reporter import Reporter
from sam2_operator.retirement import Retirement
from sam2_operator.surplus import Surplus
from tests.operator_simulation.bench import Bench, fields

if TYPE_CHECKING:
    from sam2_operator.core.observed import User

REQUEST = {**fields(1), "aboveID": 0, "lookUntil": "2026-01-02T00:00:00Z"}
UNANSWERED = {"unansweredRequests": [REQUEST]}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_two_operators_do_not_both_give_one_function_away(bench: Bench) -> None:
    given = bench.cvat.make("theirs", 1).id
    bikes, cars = bench.tracker("bikes", id=given), bench.tracker("cars", id=given)
    one, other = bench.registrar(), bench.registrar()
    assert bench.do(lambda: one.ensure(cars, bench.session())).function is not None
    refused = bench.do(lambda: other.ensure(bikes, bench.session()))
    assert refused.problem is not None
    assert refused.problem.reason == "FunctionTaken"


def test_of_two_that_wrote_one_function_down_at_the_same_instant_one_gives_it_up(bench: Bench) -> None:
    given = bench.cvat.make("theirs", 1).id
    held = {"functionID": given, "function": {**fields(1), "adopted": True}}
    bikes, cars = (bench.tracker(name, held, id=given) for name in ("bikes", "cars"))
    operator = bench.registrar()
    assert bench.do(lambda: operator.ensure(bikes, bench.session())).function is not None
    refused = bench.do(lambda: operator.ensure(cars, bench.session()))
    assert refused.problem is not None
    assert refused.problem.reason == "FunctionTaken"
    assert bench.read("cars").status.function_id is None


def test_a_function_just_made_for_another_tracker_is_not_taken(bench: Bench) -> None:
    lost = bench.tracker("cars", bench.pending(0, seconds_ago=50))
    bench.tracker("bikes", bench.pending(0))
    bench.cvat.make("cars", 1, made_for="bikes")
    settled = bench.do(lambda: bench.registrar().ensure(lost, bench.session()))
    assert settled.problem is not None
    assert (settled.problem.reason, bench.read("cars").status.function_id) == ("Settling", None)


def test_a_function_just_made_for_another_tracker_is_not_deleted(bench: Bench) -> None:
    lost = bench.tracker("cars", bench.pending(0, seconds_ago=50))
    bench.tracker("bikes", bench.pending(0))
    made = bench.cvat.make("cars", 1, made_for="bikes").id
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    assert bench.do(lambda: retirement.retire(lost, bench.session())) is not None
    assert made in bench.cvat.functions


def test_an_operator_that_knows_nothing_yet_deletes_nothing_of_another_tracker(bench: Bench) -> None:
    made = bench.cvat.make("cars", 1, made_for="bikes").id
    lost = bench.tracker("cars", bench.pending(0))
    bench.tracker("bikes", {"functionID": made, "function": {**fields(1), "adopted": False}})
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    bench.do(lambda: retirement.retire(lost, bench.session()))
    assert made in bench.cvat.functions


def test_the_end_of_one_of_two_that_had_one_function_leaves_it_to_the_other(bench: Bench) -> None:
    made = bench.cvat.make("cars", 1, made_for="bikes").id
    status = {"functionID": made, "function": {**fields(1), "adopted": False}}
    lost = bench.tracker("cars", {"obsoleteFunctionIDs": [made]})
    bench.tracker("bikes", status)
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    assert bench.do(lambda: retirement.retire(lost, bench.session())) is None
    assert made in bench.cvat.functions


def test_a_registration_is_not_settled_by_an_account_that_cannot_see_what_came_of_it(bench: Bench) -> None:
    ended = bench.tracker("cars", bench.pending(0, seconds_ago=3600))
    bench.cvat.make("cars", 1)
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    problem = bench.do(lambda: retirement.retire(ended, bench.session("bob")))
    assert problem is not None
    assert problem.reason == "OtherAccount"


def test_a_replaced_function_is_not_gone_because_another_account_is_told_so(bench: Bench) -> None:
    old, new = bench.cvat.make("cars", 1).id, bench.cvat.make("cars", 1, visibility="public").id
    record = {**fields(1), "visibility": "public", "adopted": False}
    status = {"functionID": new, "function": record, "obsoleteFunctionIDs": [old]}
    replaced = bench.tracker("cars", status, visibility="public")
    surplus = Surplus(Claims(bench.kube, Ledger()), bench.clock)
    left = bench.do(lambda: surplus.removed(replaced, bench.session("bob"), unused=True))
    assert left.obsolete_function_ids == [old]
    done = bench.do(lambda: surplus.removed(replaced, bench.session("ann"), unused=True))
    assert (done.obsolete_function_ids, old in bench.cvat.functions) == ([], False)


def test_a_tracker_is_not_ready_while_its_function_is_replaced(bench: Bench) -> None:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Serving"}
    ready |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "The agent serves."}
    status = {"functionID": 77, "function": {**fields(1), "adopted": False}, "conditions": [ready]}
    gone = bench.tracker("cars", {**status, "observedGeneration": 1})
    registered = bench.do(lambda: bench.registrar().ensure(gone, bench.session()))
    (condition,) = registered.tracker.status.conditions
    assert registered.function is not None
    assert (condition.status, condition.reason) == ("False", "Registering")


def test_a_tracker_is_not_ready_without_its_function_though_another_operator_told_so_meanwhile(
    bench: Bench,
) -> None:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Serving"}
    ready |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "The agent serves."}
    status = {"functionID": 77, "function": {**fields(1), "adopted": False}, "observedGeneration": 1}
    read = bench.tracker("cars", {**status, "conditions": [{**ready, "status": "False"}]})
    bench.store.update_status(("sam2trackers", "lab", "cars"), {"status": {**status, "conditions": [ready]}})
    bench.do(lambda: bench.registrar().ensure(read, bench.session()))
    (condition,) = bench.read("cars").status.conditions
    assert bench.read("cars").status.function_id != 77
    assert (condition.status, condition.reason) == ("False", "Registering")


def test_what_was_interrupted_is_settled_though_the_account_may_not_see_the_function_wanted_now(
    bench: Bench,
) -> None:
    given = bench.cvat.make("theirs", 1).id
    bench.cvat.hidden_as = 403
    begun = bench.tracker("cars", bench.pending(given, seconds_ago=90, user=2), id=given)
    bench.do(lambda: bench.registrar().ensure(begun, bench.session("bob")))
    assert bench.read("cars").status.registration is None


def test_what_was_asked_for_twice_is_looked_for_also_when_it_is_made_once_more(bench: Bench) -> None:
    late = bench.cvat.make("cars", 1).id
    deleted = bench.cvat.make("cars", 1).id
    del bench.cvat.functions[deleted]
    record = {**fields(1), "adopted": False}
    status = {"functionID": deleted, "function": record, **UNANSWERED}
    again = bench.tracker("cars", status)
    made = bench.do(lambda: bench.registrar().ensure(again, bench.session())).tracker
    left = bench.do(lambda: bench.registrar().tidied(made, bench.session(), unused=True))
    assert left.duplicate_function_ids == [late]


@pytest.mark.parametrize("held", [{}, {"functionID": 1, "function": {**fields(1), "adopted": False}}])
def test_what_is_wrong_stays_told_while_a_slow_cvat_answers_others_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, held: dict[str, Any]
) -> None:
    bench.cvat.make("cars", 1)
    given = bench.cvat.make("theirs", 1).id
    bench.tracker("cars", {"functionID": given, "function": {**fields(1), "adopted": True}}, id=given)
    taken: dict[str, Any] = {"type": "FunctionRegistered"}
    taken |= {"status": "False", "reason": "FunctionTaken", "message": "Taken."}
    taken |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    bikes, session = bench.tracker("bikes", {**held, "conditions": [taken]}, id=given), bench.session()

    def user() -> User:
        raise OthersFirstError

    monkeypatch.setattr(session, "user", user)
    refused = bench.do(lambda: bench.registrar().ensure(bikes, session))
    assert refused.problem is not None
    assert (refused.problem.reason, refused.problem.message) == ("FunctionTaken", "Taken.")


def test_a_function_made_after_another_operator_took_over_is_remembered_and_deleted(bench: Bench) -> None:
    cars, operator = bench.tracker("cars"), bench.registrar()
    again = bench.pending(0)
    again["registration"]["instance"] = "operator-1"
    key = ("sam2trackers", "lab", "cars")
    bench.while_it_is_made(lambda: bench.store.update_status(key, {"status": again}))
    with pytest.raises(ConflictError):
        bench.do(lambda: operator.ensure(cars, bench.session()))
    (surplus,) = bench.cvat.functions
    assert bench.read("cars").status.obsolete_function_ids == [surplus]


def test_a_function_made_for_a_tracker_that_was_forced_away_meanwhile_is_deleted(bench: Bench) -> None:
    cars, operator = bench.tracker("cars"), bench.registrar()
    bench.while_it_is_made(lambda: bench.store.delete(("sam2trackers", "lab", "cars")))
    with pytest.raises(ConflictError):
        bench.do(lambda: operator.ensure(cars, bench.session()))
    assert not bench.cvat.functions


def test_what_may_be_a_duplicate_is_named_and_never_deleted(bench: Bench) -> None:
    own, other = (bench.cvat.make("cars", 1).id for _ in range(2))
    record = {**fields(1), "adopted": False}
    tracker = bench.tracker("cars", {"functionID": own, "function": record, **UNANSWERED})
    surplus = Surplus(Claims(bench.kube, Ledger()), bench.clock)
    left = bench.do(lambda: surplus.removed(tracker, bench.session(), unused=True))
    assert left.duplicate_function_ids == [other]
    assert set(bench.cvat.functions) == {own, other}


@pytest.mark.parametrize("wanted", [["bikes"], ["bikes", "cars"]])
def test_what_comes_too_late_is_named_though_another_name_was_wanted_meanwhile(
    bench: Bench, wanted: list[str]
) -> None:
    cars = bench.tracker("cars", bench.pending(0, seconds_ago=90))
    for name in wanted:
        cars = bench.edit_function("cars", name=name)
        ensure = partial(bench.registrar().ensure, cars, bench.session())
        cars = bench.do(ensure).tracker
    late = bench.cvat.make("cars", 1, made_for="cars").id
    bench.do(lambda: bench.loop.pass_time(FRESH_SECONDS + 1))
    surplus = Surplus(Claims(bench.kube, Ledger()), bench.clock)
    left = bench.do(lambda: surplus.removed(cars, bench.session(), unused=True))
    assert left.duplicate_function_ids == [late]


def test_what_another_tracker_is_just_registering_is_no_duplicate(bench: Bench) -> None:
    own, theirs = (bench.cvat.make("cars", 1).id for _ in range(2))
    record = {**fields(1), "adopted": False}
    tracker = bench.tracker("cars", {"functionID": own, "function": record, **UNANSWERED})
    bench.tracker("bikes", bench.pending(theirs - 1))
    surplus = Surplus(Claims(bench.kube, Ledger()), bench.clock)
    left = bench.do(lambda: surplus.removed(tracker, bench.session(), unused=True))
    assert left.duplicate_function_ids == []


def test_what_another_operator_registered_meanwhile_is_no_duplicate(bench: Bench) -> None:
    own, theirs = (bench.cvat.make("cars", 1).id for _ in range(2))
    record = {**fields(1), "adopted": False}
    tracker = bench.tracker("cars", {"functionID": own, "function": record, **UNANSWERED})
    ledger = Ledger()
    ledger.fill(bench.do(bench.kube.trackers))
    bench.tracker("bikes", {"functionID": theirs, "function": {**fields(1), "adopted": False}})
    surplus = Surplus(Claims(bench.kube, ledger), bench.clock)
    left = bench.do(lambda: surplus.removed(tracker, bench.session(), unused=True))
    assert left.duplicate_function_ids == []


def test_a_route_that_the_ingress_lost_makes_no_function_gone(bench: Bench) -> None:
    old, new = (bench.cvat.make("cars", 1).id for _ in range(2))
    status = {"functionID": new, "function": {**fields(1), "adopted": False}, "obsoleteFunctionIDs": [old]}
    tracker = bench.tracker("cars", status)
    bench.cvat.not_routed = "/api/functions/"
    surplus = Surplus(Claims(bench.kube, Ledger()), bench.clock)
    left = bench.do(lambda: surplus.removed(tracker, bench.session(), unused=True))
    assert left.obsolete_function_ids == [old]


def test_what_came_of_an_interrupted_registration_is_deleted_with_its_tracker(bench: Bench) -> None:
    ended = bench.tracker("cars", bench.pending(0))
    bench.cvat.make("cars", 1)
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    assert bench.do(lambda: retirement.retire(ended, bench.session())) is None
    assert not bench.cvat.functions


def test_last_words_are_counted_once_also_where_no_event_can_be_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise KubernetesError("No events here.")

    monkeypatch.setattr(Kube, "event", refused)
    tracker, reporter = bench.tracker("cars"), Reporter(bench.kube, bench.clock, Ledger())
    words: dict[str, Any] = {
        "warning": True,
        "reason": "LeftBehind",
        "message": "Function 7 is left.",
        "lasting": True,
    }
    assert [reporter.tell(tracker, **words) for _ in range(2)] == [True, False]
