"""A real API server, a real Redis and the CVAT stand-in, around an operator of each test's own."""

from __future__ import annotations

import itertools
import os
import secrets
from contextlib import ExitStack
from typing import TYPE_CHECKING
from zlib import crc32

import kubernetes
import pytest

from sam2_operator.adapters.kube.api import KubeApi
from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from tests.cluster.fixtures import RunningControlPlane, control_plane
from tests.controlplane import account
from tests.controlplane.agents import SpeakingAgent, start_agent
from tests.controlplane.harness import Namespace, Operator
from tests.controlplane.surroundings import ADMIN_PASSWORD, apply_crd, installed, redis_with_users
from tests.cvat_standin.fixtures import cvat
from tests.samples import FULL, todays_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

__all__ = ["control_plane", "cvat"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out half of the tests marked `sampled`, another half the next day, and those marked `full`."""
    if FULL or config.option.keyword or any("::" in argument for argument in config.args):
        return
    turn = todays_seed() % 2
    sampled = [item for item in items if item.get_closest_marker("sampled") is not None]
    left_out = {item for item in sampled if crc32(item.nodeid.encode()) % 2 != turn}
    left_out |= {item for item in items if item.get_closest_marker("full") is not None}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SAM2_OPERATOR_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def cluster(control_plane: RunningControlPlane) -> RunningControlPlane:
    """The control plane, with the CRD."""
    apply_crd(control_plane.kubectl)
    return control_plane


@pytest.fixture(scope="session")
def api(cluster: RunningControlPlane) -> Iterator[KubeApi]:
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    connected = KubeApi.of(configuration)
    yield connected
    connected.client.rest_client.pool_manager.clear()


@pytest.fixture(scope="session")
def operators_api(cluster: RunningControlPlane) -> Iterator[KubeApi]:
    """The API server as the operator's account sees it; in the end, nothing was refused to it."""
    operators = account.make(
        cluster, "operator-account", "--set=gateway.enabled=true,gateway.requireSecret=true"
    )
    connected = operators.connected()
    yield connected
    connected.client.rest_client.pool_manager.clear()
    assert operators.refusals() == [], "rights that the operator needs and the chart does not give"


@pytest.fixture
def namespace(cluster: RunningControlPlane) -> Iterator[Namespace]:
    name = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", name)
    yield Namespace(name, cluster.kubectl)
    for each in cluster.kubectl.get("-n", name, "s2t")["items"]:
        patch = '{"metadata":{"finalizers":null}}'
        cluster.kubectl.run("-n", name, "patch", "s2t", each["metadata"]["name"], "--type=merge", "-p", patch)
    cluster.kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def acl_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis as the chart installs it."""
    with redis_with_users(tmp_path) as server:
        yield server


@pytest.fixture
def store(acl_redis: RedisServer) -> Iterator[RedisStateStore]:
    url = f"redis://admin@127.0.0.1:{acl_redis.port}/0"
    connected = RedisStateStore(
        Administrator(url, password=lambda: ADMIN_PASSWORD, ca_pem=lambda: None, manages_users=True)
    )
    yield connected
    connected.close()


@pytest.fixture
def operator(operators_api: KubeApi, store: RedisStateStore, tmp_path: Path) -> Iterator[Operator]:
    running = Operator.start(installed(tmp_path), operators_api, store)
    yield running
    running.world.cvat.close()


@pytest.fixture
def annotation(cvat: CVAT, namespace: Namespace) -> CVAT:
    """A CVAT with an account, whose credentials are in the namespace."""
    namespace.make_secret("cvat", token=cvat.add_user("ann").token)
    return cvat


_addresses = itertools.count(2)


@pytest.fixture
def agent() -> Iterator[Callable[[], SpeakingAgent]]:
    """Starts agents that speak, each at an address of its own."""
    with ExitStack() as stack:

        def start() -> SpeakingAgent:
            address = f"127.{os.getpid() % 250 + 1}.{next(_addresses) // 250}.{next(_addresses) % 250 + 2}"
            return stack.enter_context(SpeakingAgent(address))

        yield start


@pytest.fixture
def serving(
    annotation: CVAT, namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> SpeakingAgent:
    """The agent of the tracker cars, which is ready."""
    speaking = agent()
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    start_agent(namespace, speaking)
    assert operator.settle(namespace.name).ready
    return speaking
