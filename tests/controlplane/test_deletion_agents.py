"""The end of a tracker whose agent does not stop, or that nobody looked at for long."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.endings import DEADLINE_SECONDS, Ending
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace, Operator

pytestmark = [pytest.mark.controlplane, pytest.mark.sampled]

HELD = {"metadata": {"finalizers": ["example.com/theirs"]}}
FREE = {"metadata": {"finalizers": None}}


@pytest.fixture
def ending(annotation: CVAT, namespace: Namespace, operator: Operator) -> Ending:
    """A tracker with a pod, to be deleted."""
    return Ending(operator, namespace, annotation)


def with_pod(ending: Ending, **spec: Any) -> None:
    ending.namespace.apply_tracker(ending.cvat.url, **spec)
    ending.operator.settle(ending.namespace.name)
    wait_for(lambda: ending.namespace.exists("pod", "cars-agent-0"), "the pod")


def message(ending: Ending) -> str:
    return str(ending.namespace.condition("Ready")["message"])


@pytest.fixture
def lost_node(cluster: RunningControlPlane) -> Iterator[str]:
    """A node without a kubelet, which takes no pods by itself."""
    name = f"lost-{secrets.token_hex(4)}"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}}
    cluster.kubectl.apply(node)
    yield name
    cluster.kubectl("delete", "node", name)


def bind(ending: Ending, node: str) -> None:
    """Put the agent's pod on a node, as the scheduler would."""
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "cars-agent-0", "namespace": ending.namespace.name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    path = f"/api/v1/namespaces/{ending.namespace.name}/pods/cars-agent-0/binding"
    ending.namespace.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(binding))


def test_an_agent_that_takes_its_time_is_waited_for(ending: Ending) -> None:
    with_pod(ending)
    ending.namespace.patch("pod", "cars-agent-0", HELD)
    ending.begins()
    assert "The agent's pod cars-agent-0 is still stopping." in message(ending)
    assert len(ending.cvat.functions()) == 1  # which the agent may still serve
    ending.namespace.patch("pod", "cars-agent-0", FREE)
    ending.comes("deleted: the pod stops late")


def test_an_agent_that_never_stops_is_left_behind(ending: Ending) -> None:
    with_pod(ending)
    ending.namespace.patch("pod", "cars-agent-0", HELD)
    ending.begins()
    assert "pod cars-agent-0 is still stopping" in ending.lets_go("deleted: the pod never stops")
    ending.namespace.patch("pod", "cars-agent-0", FREE)


def test_a_stateful_set_that_others_hold_keeps_no_agent_running(ending: Ending) -> None:
    with_pod(ending)
    ending.namespace.patch("statefulset", "cars-agent", HELD)
    ending.begins()
    wait_for(ending.over, "the tracker's end")
    assert not ending.namespace.exists("pod", "cars-agent-0")
    ending.namespace.patch("statefulset", "cars-agent", FREE)
    ending.comes("deleted: the StatefulSet is held by others")


def test_an_agent_that_was_to_be_an_orphan_is_stopped_all_the_same(ending: Ending) -> None:
    with_pod(ending)
    ending.namespace.delete("s2t", "cars", "--cascade=orphan", "--wait=false")

    def is_orphaned() -> bool:
        return "ownerReferences" not in ending.namespace.get("statefulset", "cars-agent")["metadata"]

    wait_for(is_orphaned, "the garbage collector", within=60)
    ending.comes("deleted: its objects as orphans")
    assert not ending.namespace.exists("pod", "cars-agent-0")
    assert ending.told("LeftBehind") == []


def orphaned(ending: Ending, **labels: str) -> None:
    """Put a StatefulSet that nobody owns in the place of the agent's; it is of another tracker's keys."""
    agent = ending.namespace.get("statefulset", "cars-agent")
    ending.namespace.delete("statefulset", "cars-agent")
    wait_for(lambda: not ending.namespace.exists("pod", "cars-agent-0"), "the pod's end")
    (container,) = agent["spec"]["template"]["spec"]["containers"]
    variables = [each for each in container["env"] if each["name"] != "SAM2_AGENT_KEY_PREFIX"]
    container["env"] = [*variables, {"name": "SAM2_AGENT_KEY_PREFIX", "value": "s2t:{another}:"}]
    metadata = {"name": "cars-agent", "namespace": ending.namespace.name}
    agent["metadata"] = {**metadata, "labels": {**agent["metadata"]["labels"], **labels}}
    ending.namespace.kubectl.apply(agent)


def test_an_orphan_that_may_be_of_another_tracker_is_left_and_told(ending: Ending) -> None:
    with_pod(ending)
    orphaned(ending)
    ending.begins()
    wait_for(ending.over, "the tracker's end")
    assert ending.namespace.exists("statefulset", "cars-agent")
    (event,) = ending.told("LeftBehind")
    assert "The StatefulSet cars-agent has no owner and cannot be proven" in event["message"]
    assert ending.cvat.functions() == []


def test_a_stateful_set_of_somebody_else_is_neither_stopped_nor_told(ending: Ending) -> None:
    with_pod(ending)
    orphaned(ending, **{"app.kubernetes.io/managed-by": "somebody-else"})
    ending.begins()
    wait_for(ending.over, "the tracker's end")
    assert ending.namespace.exists("statefulset", "cars-agent")
    assert ending.told("LeftBehind") == []


def test_on_a_lost_node_the_pod_is_left_where_it_is_to_wait(ending: Ending, lost_node: str) -> None:
    with_pod(ending)
    bind(ending, lost_node)
    ending.begins()
    assert f"on node {lost_node} is still stopping" in message(ending)
    told = ending.lets_go("deleted: node lost, onNodeLoss Wait")
    assert f"remove it from the cluster, or delete the pod by force if {lost_node} is surely off" in told


def test_on_a_lost_node_the_pod_is_removed_where_it_may_be_replaced(ending: Ending, lost_node: str) -> None:
    with_pod(ending, agent={"onNodeLoss": "Replace"})
    bind(ending, lost_node)
    ending.begins()
    assert not ending.over()
    ending.operator.clock.advance(61)  # grace period and margin
    ending.comes("deleted: node lost, onNodeLoss Replace")
    assert ending.told("LeftBehind") == []


def test_an_operator_that_was_away_for_long_still_does_what_it_can(ending: Ending) -> None:
    with_pod(ending)
    ending.namespace.patch("pod", "cars-agent-0", HELD)
    ending.operator.restart()
    ending.namespace.delete("s2t", "cars", "--wait=false")
    ending.operator.clock.advance(DEADLINE_SECONDS)
    assert not ending.over()
    assert "still stopping" in message(ending)
    ending.namespace.patch("pod", "cars-agent-0", FREE)
    ending.comes("deleted: while no operator ran for longer than the deadline")
    assert ending.told("LeftBehind") == []
