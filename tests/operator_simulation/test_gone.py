"""What an operator knows of trackers that are gone: nobody may have told it of their end."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

import pytest

from sam2_operator.adapters.kube.answers import MissingRightError
from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.claims import Claims
from sam2_operator.core.ledger import Ledger
from sam2_operator.core.naming import state_user
from sam2_operator.surplus import Surplus
from tests.operator_simulation.bench import Bench, fields
from tests.operator_simulation.faults import CALM
from tests.operator_simulation.kubernetes.http import SimApi
from tests.operator_simulation.operators import INTERVAL
from tests.operator_simulation.ports import SimStateStore
from tests.operator_simulation.world import World

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_function_is_not_taken_by_a_tracker_whose_end_nobody_told(bench: Bench) -> None:
    given = bench.cvat.make("theirs", 1).id
    held = {"functionID": given, "function": {**fields(1), "adopted": True}}
    bench.tracker("bikes", held, id=given)
    operator = bench.registrar()
    bench.store.delete(("sam2trackers", "lab", "bikes"))
    cars = bench.tracker("cars", id=given)
    assert bench.do(lambda: operator.ensure(cars, bench.session())).function is not None


def test_a_function_is_not_lost_to_a_tracker_whose_end_nobody_told(bench: Bench) -> None:
    given = bench.cvat.make("theirs", 1).id
    held = {"functionID": given, "function": {**fields(1), "adopted": True}}
    cars = [bench.tracker(name, held, id=given) for name in ("bikes", "cars")][1]
    operator = bench.registrar()
    bench.store.delete(("sam2trackers", "lab", "bikes"))
    assert bench.do(lambda: operator.ensure(cars, bench.session())).function is not None
    assert bench.read("cars").status == cars.status


def test_a_replaced_function_is_not_left_to_a_tracker_whose_end_nobody_told(bench: Bench) -> None:
    old, new = (bench.cvat.make("cars", 1, made_for="cars").id for _ in range(2))
    record = {**fields(1), "adopted": False}
    bench.tracker("bikes", {"functionID": old, "function": record})
    ledger = Ledger()
    ledger.fill(bench.do(bench.kube.trackers))
    bench.store.delete(("sam2trackers", "lab", "bikes"))
    cars = bench.tracker("cars", {"functionID": new, "function": record, "obsoleteFunctionIDs": [old]})
    surplus = Surplus(Claims(bench.kube, ledger), bench.clock)
    assert bench.do(lambda: surplus.removed(cars, bench.session(), unused=True)).obsolete_function_ids == []
    assert old not in bench.cvat.functions


@pytest.mark.parametrize("redis_is_away", [0.0, 2 * INTERVAL])
def test_a_tracker_whose_end_nobody_told_is_forgotten_with_its_user_of_redis(
    bench: Bench, redis_is_away: float
) -> None:
    world = World(Random(1), CALM, None)
    world.operators.start()
    (operator,) = world.operators.running
    ledger, gone = operator.reconciler.registrar.ledger, bench.tracker("cars", bench.pending(0))
    ledger.note(gone)
    world.redis.users.add(state_user(gone.metadata.uid))
    world.network.away.add("redis")
    world.loop.outside(redis_is_away, world.network.away.discard, "redis")
    with closing(world.loop):
        world.loop.run(lambda: not ledger.keys() and not world.redis.users, redis_is_away + 3 * INTERVAL)


def test_a_function_stays_that_of_a_tracker_which_cannot_be_read(bench: Bench) -> None:
    given = bench.cvat.make("theirs", 1).id
    held = {"functionID": given, "function": {**fields(1), "adopted": True}}
    bench.tracker("bikes", held, id=given)
    operator = bench.registrar()
    bench.store.update(("sam2trackers", "lab", "bikes"), {"spec": {"model": {"id": 7}}})
    cars = bench.tracker("cars", id=given)
    refused = bench.do(lambda: operator.ensure(cars, bench.session()))
    assert refused.problem is not None
    assert refused.problem.reason == "FunctionTaken"


def test_a_function_stays_that_of_a_tracker_which_may_not_be_read(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = bench.cvat.make("theirs", 1).id
    held = {"functionID": given, "function": {**fields(1), "adopted": True}}
    bench.tracker("bikes", held, id=given)
    operator, cars, get = bench.registrar(), bench.tracker("cars", id=given), SimApi.get

    def refused(api: SimApi, path: str) -> Manifest | None:
        if path.endswith("/bikes"):
            raise MissingRightError
        return get(api, path)

    monkeypatch.setattr(SimApi, "get", refused)
    taken = bench.do(lambda: operator.ensure(cars, bench.session()))
    assert taken.problem is not None
    assert taken.problem.reason == "FunctionTaken"


def test_nothing_is_made_for_a_tracker_that_goes_before_it_is_held(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the operator is killed then, nobody is left who knows of it."""
    world, key = World(Random(1), CALM, None), ("sam2trackers", "lab", "cars")
    hold, held, users = Kube.set_finalizer, list[str](), list[str]()

    def too_late(kube: Kube, tracker: Tracker, *, present: bool) -> Tracker | None:
        world.store.delete(key)
        held.append(tracker.key)
        return hold(kube, tracker, present=present)

    monkeypatch.setattr(Kube, "set_finalizer", too_late)
    monkeypatch.setattr(SimStateStore, "ensure_user", lambda _, uid: users.append(uid))
    world.store.create(("namespaces", "", "lab"), {"metadata": {}})
    bench.tracker("cars")
    world.store.create(key, {each: bench.store.get(key)[each] for each in ("apiVersion", "kind", "spec")})
    world.operators.start()
    with closing(world.loop):
        world.loop.run(lambda: bool(held), INTERVAL)
        world.loop.run(lambda: world.loop.time() > INTERVAL, 2 * INTERVAL)
    assert users == []
