"""The simulated API server keeps the promises that `tests/controlplane` holds the real one to."""

from __future__ import annotations

import copy
from random import Random
from typing import cast

import pytest
from kubernetes.client import ApiClient

from sam2_operator.adapters.kube.objects import Kube
from tests.operator_simulation import many
from tests.operator_simulation.contract import PROMISES
from tests.operator_simulation.faults import CALM
from tests.operator_simulation.kubernetes.controllers import Controllers
from tests.operator_simulation.kubernetes.http import Server, SimApi
from tests.operator_simulation.kubernetes.store import ApiError, Store
from tests.operator_simulation.network import Network
from tests.operator_simulation.people import People
from tests.operator_simulation.ports import VirtualClock
from tests.operator_simulation.strands import StrandLoop
from tests.operator_simulation.world import World
from tests.simulation.trace import Trace


@pytest.mark.parametrize("promise", PROMISES)
def test_the_simulated_api_server_keeps_the_promise(promise: str) -> None:
    loop = StrandLoop()
    clock = VirtualClock(loop)
    store = Store(clock.now)
    store.create(("namespaces", "", "lab"), {"metadata": {"finalizers": ["kubernetes"]}})
    network = Network(loop, Random(0), Trace(loop.time))
    api = SimApi(cast("ApiClient", None), server=Server(store), network=network, writes=[])
    kube = Kube(api, clock, (), "operator-0")
    told = loop.in_strand(lambda: PROMISES[promise](kube, "lab"))
    loop.run(told.done, 1000.0)
    told.result()
    loop.close()


def test_what_is_made_for_an_owner_that_is_gone_is_collected() -> None:
    loop = StrandLoop()
    store = Store(VirtualClock(loop).now)
    store.changed = Controllers(loop, Random(0), store).notice
    store.create(("namespaces", "", "lab"), {"metadata": {}})
    account = ("serviceaccounts", "lab", "cars-agent")
    store.create(account, {"metadata": {"ownerReferences": [{"uid": "gone"}]}})
    loop.run(lambda: store.find(account) is None, 10.0)
    assert store.find(account) is None
    loop.close()


def test_people_bear_that_an_admission_policy_refuses_their_edit() -> None:
    world = World(Random(0), CALM, None)
    people = People(world)
    people.begin()
    world.store.create(("namespaces", "", "lab"), {"metadata": {}})
    key = ("statefulsets", "lab", "cars-agent")
    owned = {"metadata": {"ownerReferences": [{"uid": "cars"}]}, "spec": {"replicas": 1}}
    world.store.create(key, owned)
    world.refuse_changes = True
    people.edit_child()
    assert world.store.get(key)["spec"] == {"replicas": 1}
    world.loop.close()


def test_an_error_of_the_api_server_survives_a_pool_of_processes() -> None:
    error = copy.copy(ApiError(403, "not now", "NamespaceTerminating"))  # rebuilt as pickle would
    assert (error.status, str(error), error.cause) == (403, "not now", "NamespaceTerminating")


def test_a_run_that_breaks_the_simulation_fails_its_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(_: People) -> None:
        raise ApiError(403, "nobody expected this")

    monkeypatch.setattr(People, "begin", begin)
    result = many.play_part(range(5, 6))
    ((seed, complaints),) = result.failures
    assert seed == 5
    assert "Traceback" in complaints[0]
    assert "nobody expected this" in complaints[0]
