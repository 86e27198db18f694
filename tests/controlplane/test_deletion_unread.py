"""The end of a tracker that says more than the operator knows, as after a rollback, which leaves the CRD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.api.crd import custom_resource_definition
from tests.controlplane.endings import Ending
from tests.controlplane.surroundings import apply_crd
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.fixtures import RunningControlPlane
    from tests.controlplane.harness import Namespace, Operator

pytestmark = [pytest.mark.controlplane, pytest.mark.sampled]


def newer_crd() -> dict[str, Any]:
    """The CRD of a release to come, which knows more words."""
    newer = custom_resource_definition()
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    spec, status = schema["spec"]["properties"], schema["status"]["properties"]
    spec["agent"]["properties"]["onNodeLoss"]["enum"].append("Drain")
    spec["function"]["properties"]["deletionPolicy"]["enum"].append("Archive")
    for functions in (spec["function"], status["function"]):
        functions["properties"]["shapeTypes"]["items"]["enum"].append("ellipse")
    status["registration"]["properties"]["visibility"]["enum"].append("organization")
    return newer


@pytest.fixture
def ending(
    cluster: RunningControlPlane, annotation: CVAT, namespace: Namespace, operator: Operator
) -> Iterator[Ending]:
    """A tracker as it is served, of which the newer CRD takes more than the operator reads."""
    cluster.kubectl.apply(newer_crd())
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    yield Ending(operator, namespace, annotation)
    release = json.dumps({"metadata": {"finalizers": None}})
    cluster.kubectl.run("-n", namespace.name, "patch", "s2t", "cars", "--type=merge", "-p", release)
    apply_crd(cluster.kubectl)


def says(ending: Ending, patch: dict[str, Any], *options: str) -> None:
    """Give the tracker words of the newer CRD, which the API server may know only in a moment."""
    arguments = ("patch", "s2t", "cars", "--type=merge", "-p", json.dumps(patch), *options)
    kubectl = ending.namespace.kubectl
    wait_for(lambda: kubectl.run("-n", ending.namespace.name, *arguments).returncode == 0, "the newer CRD")


def agent(ending: Ending) -> tuple[str, int]:
    metadata = ending.namespace.get("statefulset", "cars-agent")["metadata"]
    return metadata["uid"], metadata["generation"]


def test_while_it_lives_it_is_left_as_it_is_and_told(ending: Ending) -> None:
    before = agent(ending)
    function = ending.namespace.status()["function"]
    says(ending, {"spec": {"agent": {"onNodeLoss": "Drain"}, "function": {"name": "bikes"}}})
    outcome = ending.operator.settle(ending.namespace.name)
    assert (outcome.exists, outcome.ready, outcome.reason) == (True, False, "Unreadable")
    told = ending.namespace.condition("Ready")
    assert (told["status"], told["reason"]) == ("False", "Unreadable")
    assert "spec.agent.onNodeLoss: Input should be 'Wait' or 'Replace'" in told["message"]
    assert len(ending.told("Unreadable")) == 1
    assert agent(ending) == before
    assert ending.namespace.status()["function"] == function
    assert [each.name for each in ending.cvat.functions()] == ["cars"]
    version = ending.namespace.get("s2t", "cars")["metadata"]["resourceVersion"]
    ending.operator.settle(ending.namespace.name)
    assert ending.namespace.get("s2t", "cars")["metadata"]["resourceVersion"] == version
    says(ending, {"spec": {"agent": {"onNodeLoss": "Wait"}, "function": {"name": None}}})
    ending.operator.settle(ending.namespace.name)
    assert ending.namespace.condition("FunctionRegistered")["status"] == "True"
    assert agent(ending) == before
    ending.begins()
    ending.comes("deleted: readable again")


def test_what_its_end_does_not_need_does_not_hold_it(ending: Ending) -> None:
    says(ending, {"spec": {"agent": {"onNodeLoss": "Drain"}, "function": {"shapeTypes": ["ellipse"]}}})
    record = {"status": {"function": {"shapeTypes": ["ellipse"]}}}
    says(ending, record, "--subresource=status")
    ending.operator.restart()
    ending.begins()
    ending.comes("deleted: words of a newer CRD")
    assert ending.told("LeftBehind") == []


def test_what_its_end_needs_is_waited_for_no_longer_than_the_deadline(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    recorded = ending.namespace.status()
    says(ending, {"spec": {"function": {"deletionPolicy": "Archive"}}})
    ending.operator.restart()
    ending.begins()
    wait_for(lambda: ending.over() or not ending.namespace.exists("pod", "cars-agent-0"), "the agent's end")
    assert not ending.over()
    told = ending.namespace.condition("Ready")
    assert told["reason"] == "Deleting"
    assert f"Function {function.id} cannot be deleted in CVAT: The tracker cannot be read" in told["message"]
    assert "spec.function.deletionPolicy: Input should be" in told["message"]
    assert not ending.namespace.exists("statefulset", "cars-agent")
    assert ending.namespace.status()["function"] == recorded["function"]
    message = ending.lets_go("deleted: cannot be read", left=[function.id])
    assert f"Function {function.id} cannot be deleted in CVAT: The tracker cannot be read" in message
    assert ending.left_behind() == 1


def test_a_policy_that_can_be_read_again_is_kept_to(ending: Ending) -> None:
    says(ending, {"spec": {"function": {"deletionPolicy": "Archive"}}})
    ending.operator.restart()
    ending.begins()
    assert not ending.over()
    says(ending, {"spec": {"function": {"deletionPolicy": "Delete"}}})
    ending.comes("deleted: readable again in time")
    assert ending.told("LeftBehind") == []


def test_a_registration_that_cannot_be_read_is_told(ending: Ending) -> None:
    (function,) = ending.cvat.functions()
    registration = {
        "instance": "newer",
        "name": "cars",
        "visibility": "organization",
        "shapeTypes": ["mask"],
        "aboveID": 0,
        "userID": 1,
        "username": "ann",
        "since": "2026-01-01T00:00:00Z",
    }
    says(ending, {"status": {"functionID": None, "registration": registration}}, "--subresource=status")
    ending.operator.restart()
    ending.begins()
    assert not ending.over()
    assert ending.namespace.status()["registration"] == registration
    message = ending.lets_go("deleted: its registration cannot be read", left=[function.id])
    assert "A function named 'cars' cannot be deleted in CVAT: The tracker cannot be read" in message
