"""Functions of which there are too many: what is named, what is deleted, and what is neither."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.cvat.sightings import FRESH_SECONDS
from sam2_operator.api.status import MAX_FUNCTIONS
from sam2_operator.claims import Claims
from sam2_operator.core.ledger import Ledger
from sam2_operator.core.locks import KeyedLocks
from sam2_operator.core.records import REMEMBERED
from sam2_operator.core.settlement import SETTLE
from sam2_operator.core.timestamps import parse
from sam2_operator.errors import ConflictError
from sam2_operator.retirement import Retirement
from sam2_operator.surplus import RECENT
from tests.operator_simulation.bench import Bench, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sam2_operator.api.status import TrackerStatus

OWN = {**fields(1), "adopted": False}
UNANSWERED = {"unansweredRequests": [{**fields(1), "aboveID": 0, "lookUntil": "2026-01-02T00:00:00Z"}]}


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


def repeated(bench: Bench) -> tuple[int, int]:
    """Make a tracker whose request something on the way repeats: give its function and the other one."""
    bench.tracker("cars")
    other = []
    bench.while_it_is_made(lambda: other.append(bench.cvat.make("cars", 1).id))
    own = ensured(bench).function_id
    assert own is not None
    return own, other[0]


def test_a_request_that_something_on_the_way_repeated_is_told(bench: Bench) -> None:
    """Also where the operator that made it is killed before it looks."""
    own, other = repeated(bench)
    left = tidied(bench)
    assert (left.function_id, left.duplicate_function_ids) == (own, [other])


def test_what_was_repeated_is_told_though_cvat_did_not_list_just_then(bench: Bench) -> None:
    _, other = repeated(bench)
    bench.cvat.not_routed = "/api/functions"
    assert tidied(bench).duplicate_function_ids == []
    bench.cvat.not_routed = None
    bench.do(lambda: bench.loop.pass_time(FRESH_SECONDS + 1))
    assert tidied(bench).duplicate_function_ids == [other]


def test_a_request_is_forgotten_once_all_that_came_of_it_is_known(bench: Bench) -> None:
    bench.tracker("cars")
    assert len(ensured(bench).unanswered_requests) == 1
    assert len(tidied(bench).unanswered_requests) == 1
    bench.do(lambda: bench.loop.pass_time((SETTLE + RECENT).total_seconds()))
    assert tidied(bench).unanswered_requests == []


def test_what_was_repeated_and_is_listed_late_is_told(bench: Bench) -> None:
    _, other = repeated(bench)
    bench.cvat.functions[other].listed_from = bench.loop.time() + SETTLE.total_seconds() - 5
    assert tidied(bench).duplicate_function_ids == []
    bench.do(lambda: bench.loop.pass_time(SETTLE.total_seconds() + 30))
    assert tidied(bench).duplicate_function_ids == [other]


def test_a_request_without_an_answer_is_forgotten_after_a_day(bench: Bench) -> None:
    own = bench.cvat.make("cars", 1).id
    bench.tracker("cars", {"functionID": own, "function": OWN, **UNANSWERED})
    assert len(tidied(bench).unanswered_requests) == 1
    bench.do(lambda: bench.loop.pass_time((REMEMBERED + RECENT).total_seconds()))
    assert tidied(bench).unanswered_requests == []


def test_what_is_told_stays_told_and_is_no_longer_once_people_rename_it(bench: Bench) -> None:
    _, other = doubted(bench)
    bench.do(lambda: bench.loop.pass_time((REMEMBERED + RECENT).total_seconds()))
    assert tidied(bench).duplicate_function_ids == [other]
    bench.cvat.functions[other].name = "ours, not the tracker's"
    bench.do(lambda: bench.loop.pass_time(FRESH_SECONDS + 1))
    left = tidied(bench)
    assert (left.duplicate_function_ids, left.unanswered_requests) == ([], [])


def test_trackers_that_search_for_long_share_a_list(bench: Bench) -> None:
    lists = bench.count_lists()
    for name in ("cars", "bikes", "boats"):
        own = bench.cvat.make(name, 1).id
        bench.tracker(name, {"functionID": own, "function": OWN, **UNANSWERED})
    for name in ("cars", "bikes", "boats"):
        tidied(bench, name)
    assert len(lists) == 1


def test_a_shared_list_is_as_recent_as_those_who_forget_think() -> None:
    assert RECENT.total_seconds() > FRESH_SECONDS


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


def test_what_is_made_after_the_tracker_gave_up_is_given_back(bench: Bench) -> None:
    """Nothing in the status would say whose credentials can delete it."""
    cars, slow = bench.tracker("cars"), bench.registrar()
    given_up = {"status": {"registration": None, **UNANSWERED}}
    bench.while_it_is_made(lambda: bench.store.update_status(("sam2trackers", "lab", "cars"), given_up))
    with pytest.raises(ConflictError):
        bench.do(lambda: slow.ensure(cars, bench.session("ann")))
    assert not bench.cvat.functions
    assert bench.read("cars").status.obsolete_function_ids == []


def test_the_settle_time_counts_from_when_cvat_is_asked_and_not_from_when_others_let_it(
    bench: Bench,
) -> None:
    cars, patient = bench.tracker("cars"), replace(bench.registrar(), locks=SlowLocks(bench))
    asked: list[float] = []
    bench.while_it_is_made(lambda: asked.append(age_of_intent(bench)))
    bench.do(lambda: patient.ensure(cars, bench.session()))
    assert max(asked) < 5


class SlowLocks(KeyedLocks):
    """Locks that others hold for longer than CVAT has to settle."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        self._bench.loop.pass_time(SETTLE.total_seconds() + 1)
        with super().held(key):
            yield


def age_of_intent(bench: Bench) -> float:
    """For how many seconds the intent in the status says that CVAT has been asked."""
    status = bench.store.find(("sam2trackers", "lab", "cars"))["status"]  # type: ignore[index]
    return (bench.clock.now() - parse(status["registration"]["since"])).total_seconds()
