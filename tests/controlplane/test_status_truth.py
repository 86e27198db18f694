"""The status is true in every version that could be read, and `kubectl wait` never returns too early."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane import situations
from tests.controlplane.agents import SpeakingAgent
from tests.controlplane.harness import Namespace, Operator
from tests.controlplane.kubelet import BROKEN_IMAGE, Kubelet
from tests.controlplane.operating import operating
from tests.controlplane.recording import Recording
from tests.controlplane.situations import Outcomes
from tests.controlplane.truth import lies
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.cluster.fixtures import RunningControlPlane
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


@dataclass
class Life:
    """A tracker under the eyes of a real operator, and all that is told of it."""

    cvat: CVAT
    namespace: Namespace
    agent: SpeakingAgent
    trackers: Recording
    stateful_sets: Recording
    pods: Recording

    def apply(self, **spec: Any) -> None:
        self.namespace.apply_tracker(self.cvat.url, **spec)

    def wait(self, condition: str = "condition=Ready", *, seconds: int = 60) -> bool:
        """Run `kubectl wait`; give whether it says that the condition is met."""
        arguments = ("wait", f"--for={condition}", "s2t/cars", f"--timeout={seconds}s")
        return self.namespace.kubectl.run("-n", self.namespace.name, *arguments).returncode == 0

    def reached(self, reason: str) -> None:
        wait_for(lambda: self.namespace.reason() == reason, reason, within=60, every=0.1)

    def image(self) -> str:
        (container,) = self.namespace.get("pod", "cars-agent-0")["spec"]["containers"]
        return str(container["image"])


@pytest.fixture
def life(
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    *,
    acl_redis: RedisServer,
    tmp_path: Path,
    api: KubeApi,
    agent: Callable[[], SpeakingAgent],
) -> Iterator[Life]:
    speaking = agent()
    settings = {"NAMESPACES": namespace.name, "AGENT_INTERVAL_SECONDS": "1", "INTERVAL_SECONDS": "2"}
    core, ours = f"namespaces/{namespace.name}", "/apis/sam2.dev/v1alpha1"
    with (
        Recording(cluster.kubeconfig, f"{ours}/{core}/sam2trackers") as trackers,
        Recording(cluster.kubeconfig, f"/apis/apps/v1/{core}/statefulsets") as stateful_sets,
        Recording(cluster.kubeconfig, f"/api/v1/{core}/pods") as pods,
        Kubelet(api, namespace.name, speaking),
        operating(cluster.kubeconfig, acl_redis, tmp_path, settings),
    ):
        yield Life(annotation, namespace, speaking, trackers, stateful_sets, pods)


def test_nothing_that_is_told_in_a_whole_life_is_untrue(life: Life) -> None:
    life.apply(agent={"image": "one"})
    assert life.wait()
    assert life.image() == "one"

    life.apply(agent={"image": "two"})  # right after an apply, kubectl wait must not believe what was before
    assert life.wait()
    assert life.image() == "two"

    life.apply(agent={"image": "two"}, function={"name": "Cars and bikes"})
    assert life.wait()
    wait_for(lambda: [each.name for each in life.cvat.functions()] == ["Cars and bikes"], "the old to go")

    life.apply(agent={"image": BROKEN_IMAGE}, function={"name": "Cars and bikes"})
    life.reached("ImagePullBackOff")
    life.apply(agent={"image": "two"}, function={"name": "Cars and bikes"})
    assert life.wait()
    assert life.image() == "two"

    life.agent.says(ready=False, reason="AccessDenied", message="The account ann may not serve it.")
    life.reached("AccessDenied")
    life.agent.says(ready=True, reason="Serving", message="Tracking requests are answered.")
    assert life.wait()

    life.apply(agent={"image": "two"}, function={"name": "Cars and bikes"}, suspend=True)
    assert life.wait("condition=Ready=False")
    life.reached("Suspended")
    life.apply(agent={"image": "two"}, function={"name": "Cars and bikes"}, suspend=False)
    assert life.wait()

    fault = life.cvat.faults.drop_request("GET /api/functions/{id}", times=None)
    life.apply(agent={"image": "two"}, function={"name": "Bikes"})
    assert not life.wait(seconds=4)  # the agent serves, but not what is asked for now
    fault.clear()
    assert life.wait()
    wait_for(lambda: [each.name for each in life.cvat.functions()] == ["Bikes"], "the old to go", within=30)

    life.namespace.delete("s2t", "cars", "--timeout=60s")
    told = life.trackers.until_deleted()
    assert len(told) > 20
    found = lies(
        told, life.stateful_sets.versions(), life.pods.versions(), ["token-of-ann", "admin-password"]
    )
    situations.add("watched for a whole life", Outcomes(converged=int(not found)))
    assert not found, "\n".join(found)


def test_kubectl_wait_does_not_take_what_was_for_what_is(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    agent: Callable[[], SpeakingAgent],
    *,
    api: KubeApi,
) -> None:
    namespace.apply_tracker(annotation.url)
    with Kubelet(api, namespace.name, agent()):
        wait_for(lambda: operator.reconcile(namespace.name).ready, "the agent", every=0.1)
    ready = ("-n", namespace.name, "wait", "--for=condition=Ready", "s2t/cars", "--timeout=1s")
    assert namespace.kubectl.run(*ready).returncode == 0
    namespace.apply_tracker(annotation.url, model={"precision": "float32"})  # and no operator looks
    assert namespace.condition("Ready")["status"] == "True"
    assert namespace.kubectl.run(*ready).returncode != 0


@contextmanager
def still(cluster: RunningControlPlane, component: str) -> Iterator[None]:
    """Let a part of the control plane stand still."""
    pid = cluster.plane.processes.pid(component)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_while_nobody_rolls_out_a_change_the_old_agent_makes_nothing_ready(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    agent: Callable[[], SpeakingAgent],
    api: KubeApi,
    cluster: RunningControlPlane,
) -> None:
    namespace.apply_tracker(annotation.url, agent={"image": "one"})
    with Kubelet(api, namespace.name, agent()):
        wait_for(lambda: operator.reconcile(namespace.name).ready, "the agent", every=0.1)
        with still(cluster, "kube-controller-manager"):
            namespace.apply_tracker(annotation.url, agent={"image": "two"})
            operator.settle(namespace.name)
            assert namespace.get("pod", "cars-agent-0")["spec"]["containers"][0]["image"] == "one"
            assert namespace.reason() == "RollingOut"
            ready = ("-n", namespace.name, "wait", "--for=condition=Ready", "s2t/cars", "--timeout=1s")
            assert namespace.kubectl.run(*ready).returncode != 0
        wait_for(lambda: operator.reconcile(namespace.name).ready, "the new agent", within=30, every=0.1)
    assert namespace.get("pod", "cars-agent-0")["spec"]["containers"][0]["image"] == "two"
    outcomes = Outcomes(converged=1)
    assert situations.add("changed while the controller-manager stands still", outcomes).good
