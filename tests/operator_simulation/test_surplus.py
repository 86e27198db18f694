"""Functions of which there are too many: what is named, what is deleted, and what is neither."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.api.status import MAX_FUNCTIONS
from sam2_operator.claims import Claims
from sam2_operator.core.ledger import Ledger
from sam2_operator.errors import ConflictError
from sam2_operator.retirement import Retirement
from tests.operator_simulation.bench import Bench, fields

if TYPE_CHECKING:
    from sam2_operator.api.status import TrackerStatus

OWN = {**fields(1), "adopted": False}
UNANSWERED = {"unansweredRequests": [{**fields(1), "aboveID": 0}]}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ensured(bench: Bench, name: str = "cars") -> TrackerStatus:
    ensure = partial(bench.registrar().ensure, bench.read(name), bench.session())
    return bench.do(ensure).tracker.status


def tidied(bench: Bench, name: str = "cars", *, unused: bool = True) -> TrackerStatus:
    """Do what a reconcile does after `ensured`, and write it down."""
    tracker, registrar = bench.read(name), bench.registrar()
    left = bench.do(lambda: registrar.tidied(tracker, bench.session(), unused=unused))
    bench.do(lambda: bench.kube.write_status(tracker, left))
    return bench.read(name).status


def doubted(bench: Bench, **function: Any) -> tuple[int, int]:
    """Make a tracker that was asked for twice: give its function and one that may be its own, too."""
    own, other = (bench.cvat.make("cars", 1).id for _ in range(2))
    bench.tracker("cars", {"functionID": own, "function": OWN, **UNANSWERED}, **function)
    assert tidied(bench).duplicate_function_ids == [other]
    return own, other


def test_what_people_give_to_the_tracker_is_no_duplicate_of_itself(bench: Bench) -> None:
    _, other = doubted(bench)
    bench.edit_function("cars", id=other)
    assert ensured(bench).function_id == other
    assert bench.read("cars").status.duplicate_function_ids == []
    assert tidied(bench).duplicate_function_ids == []


def test_what_people_gave_to_the_tracker_is_theirs_also_afterwards(bench: Bench) -> None:
    bench.tracker("cars", UNANSWERED)
    theirs = bench.cvat.make("cars", 1).id
    bench.edit_function("cars", id=theirs)
    assert ensured(bench).function_id == theirs
    bench.edit_function("cars", id=None)
    assert ensured(bench).function_id not in {None, theirs}
    assert tidied(bench).duplicate_function_ids == []
    assert theirs in bench.cvat.functions


def test_what_people_give_to_another_tracker_is_its_own(bench: Bench) -> None:
    _, other = doubted(bench)
    bench.tracker("bikes", id=other)
    assert ensured(bench, "bikes").function_id == other
    assert tidied(bench).duplicate_function_ids == []


def test_more_than_a_status_may_hold_are_named_as_far_as_it_does(bench: Bench) -> None:
    own = bench.cvat.make("cars", 1).id
    bench.tracker("cars", {"functionID": own, "function": OWN, **UNANSWERED})
    others = [bench.cvat.make("cars", 1).id for _ in range(MAX_FUNCTIONS + 1)]
    assert tidied(bench).duplicate_function_ids == others[:MAX_FUNCTIONS]


def test_what_is_too_much_is_named_while_an_agent_still_serves_what_is_replaced(bench: Bench) -> None:
    old, new, late = (bench.cvat.make("cars", 1).id for _ in range(3))
    status = {"functionID": new, "function": OWN, "obsoleteFunctionIDs": [old], **UNANSWERED}
    bench.tracker("cars", status)
    left = tidied(bench, unused=False)
    assert (left.obsolete_function_ids, left.duplicate_function_ids) == ([old], [late])
    assert old in bench.cvat.functions


def test_a_given_function_stays_though_an_interrupted_registration_may_have_made_it(bench: Bench) -> None:
    bench.tracker("cars", bench.pending(0, seconds_ago=90))
    given = bench.cvat.make("cars", 1).id
    ended = bench.edit_function("cars", id=given)
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    assert bench.do(lambda: retirement.retire(ended, bench.session())) is None
    assert given in bench.cvat.functions


def test_a_tracker_that_asked_twice_ends_when_both_are_gone(bench: Bench) -> None:
    ended = bench.tracker("cars", {**bench.pending(0, seconds_ago=40), **UNANSWERED})
    second, first = (bench.cvat.make("cars", 1) for _ in range(2))
    second.listed_from = bench.loop.time() + 10
    retirement = Retirement(bench.clock, Claims(bench.kube, Ledger()))
    problem = bench.do(lambda: retirement.retire(ended, bench.session()))
    assert problem is not None
    assert problem.reason == "Settling"
    assert set(bench.cvat.functions) == {second.id}
    bench.do(lambda: bench.loop.pass_time(10))
    bench.do(lambda: retirement.retire(ended, bench.session()))
    assert not bench.cvat.functions
    bench.do(lambda: bench.loop.pass_time(10))
    assert bench.do(lambda: retirement.retire(ended, bench.session())) is None
    assert first.id not in bench.cvat.functions


def test_what_is_made_after_another_account_took_over_is_deleted_by_whoever_made_it(bench: Bench) -> None:
    cars, slow = bench.tracker("cars"), bench.registrar()

    def take_over() -> None:
        """Another operator gave up by now, and went on with other credentials."""
        status = {"functionID": bench.cvat.make("cars", 2).id, "function": {**fields(2), "adopted": False}}
        bench.store.update_status(("sam2trackers", "lab", "cars"), {"status": {**status, **UNANSWERED}})

    bench.while_it_is_made(take_over)
    with pytest.raises(ConflictError):
        bench.do(lambda: slow.ensure(cars, bench.session("ann")))
    (left,) = bench.cvat.functions
    status = bench.read("cars").status
    assert (status.function_id, status.obsolete_function_ids) == (left, [])
