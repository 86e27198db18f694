"""What somebody else holds up: a change that is refused, an object that does not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sam2_operator.core.plan import HELD_AFTER
from tests.controlplane import admission
from tests.controlplane.admission import forbidden
from tests.controlplane.agents import start_agent
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.controlplane.agents import SpeakingAgent
    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT

pytestmark = pytest.mark.controlplane

POD = "cars-agent-0"
HELD = {"metadata": {"finalizers": ["example.com/theirs"]}}
FREE = {"metadata": {"finalizers": None}}


@pytest.fixture
def serving(
    annotation: CVAT, namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> None:
    """A tracker that is ready."""
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    start_agent(namespace, agent())
    assert operator.settle(namespace.name).ready


@pytest.mark.usefixtures("serving")
def test_a_replaced_function_stays_while_the_next_pod_will_serve_it(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    (old,) = annotation.functions()
    with forbidden(namespace, "statefulsets", "Not now.", admission.stateful_set(namespace.name)):
        namespace.apply_tracker(annotation.url, function={"name": "Cars and bikes"})
        with forbidden(namespace, "pods", "Wait.", admission.pod(namespace.name)):
            namespace.delete("pod", POD, "--grace-period=0", "--force")
            operator.settle(namespace.name)
            assert not namespace.exists("pod", POD)
            assert namespace.condition("AgentAvailable")["reason"] == "Refused"
            assert namespace.status()["obsoleteFunctionIDs"] == [old.id]
        wait_for(lambda: namespace.exists("pod", POD), "the next pod", within=120)
        environment = namespace.get("pod", POD)["spec"]["containers"][0]["env"]
        assert {"name": "SAM2_AGENT_FUNCTION_ID", "value": str(old.id)} in environment
        operator.settle(namespace.name)
        assert old.id in {each.id for each in annotation.functions()}

    def replaced() -> bool:
        operator.reconcile(namespace.name)
        return [each.name for each in annotation.functions()] == ["Cars and bikes"]

    wait_for(replaced, "the old function to go", within=120)


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("statefulset", "cars-agent"),
        ("serviceaccount", "cars-agent"),
        ("networkpolicy", "cars-agent"),
        ("secret", "cars-state"),
    ],
)
def test_what_somebody_keeps_from_going_is_told_until_it_is_made_anew(
    namespace: Namespace, operator: Operator, kind: str, name: str
) -> None:
    before = namespace.get(kind, name)
    namespace.patch(kind, name, HELD)
    namespace.delete(kind, name, "--wait=false")
    if kind == "statefulset":
        namespace.delete("pod", POD, "--grace-period=0", "--force")
    operator.settle(namespace.name)
    assert namespace.reason() == ("PodMissing" if kind == "statefulset" else "Serving")

    operator.clock.advance(HELD_AFTER.total_seconds() + 1)
    operator.settle(namespace.name)
    told = namespace.condition("AgentAvailable")
    assert (told["status"], told["reason"]) == ("False", "HeldInDeletion")
    assert namespace.reason() == "HeldInDeletion"
    assert f"The {before['kind']} {name} is being deleted" in told["message"]
    assert "example.com/theirs" in told["message"]

    namespace.patch(kind, name, FREE)
    wait_for(lambda: not namespace.exists(kind, name), f"the {kind} to go")
    operator.settle(namespace.name)
    assert namespace.get(kind, name)["metadata"]["uid"] != before["metadata"]["uid"]
    assert namespace.reason() != "HeldInDeletion"
