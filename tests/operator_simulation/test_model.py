"""The simulated API server keeps the promises that `tests/controlplane` holds the real one to."""

from __future__ import annotations

from random import Random
from typing import cast

import pytest
from kubernetes.client import ApiClient

from sam2_operator.adapters.kube.objects import Kube
from tests.operator_simulation.contract import PROMISES
from tests.operator_simulation.kubernetes.http import Server, SimApi
from tests.operator_simulation.kubernetes.store import Store
from tests.operator_simulation.network import Network
from tests.operator_simulation.ports import VirtualClock
from tests.operator_simulation.strands import StrandLoop
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
