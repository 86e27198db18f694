"""A tracker's life on a real API server: made, served, changed, repaired, deleted."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import pytest

from sam2_operator.core.naming import FIELD_MANAGER
from sam2_operator.core.settlement import SETTLE
from sam2_operator.surplus import RECENT
from tests.controlplane.agents import SpeakingAgent, start_agent
from tests.controlplane.harness import Namespace, Operator
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.fixtures import RunningControlPlane
    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


def test_an_applied_tracker_is_registered_once_and_becomes_ready(
    annotation: CVAT, namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)

    (function,) = annotation.functions()
    assert (function.name, function.kind, function.provider) == ("cars", "tracker", "native")
    assert namespace.status()["functionID"] == function.id
    assert namespace.condition("FunctionRegistered")["status"] == "True"
    assert namespace.condition("StateStoreReachable")["status"] == "True"
    assert namespace.condition("Ready")["status"] == "False"
    for kind in ("statefulset", "serviceaccount", "networkpolicy"):
        assert namespace.exists(kind, "cars-agent")
    assert namespace.exists("secret", "cars-state")

    start_agent(namespace, agent())
    assert operator.settle(namespace.name).ready
    namespace.kubectl("-n", namespace.name, "wait", "--for=condition=Ready", "s2t/cars", "--timeout=5s")
    assert annotation.count("POST /api/functions") == 1


def test_a_quiet_cluster_sees_no_write(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    agent: Callable[[], SpeakingAgent],
    cluster: RunningControlPlane,
) -> None:
    def writes() -> list[str]:
        """What the operator wrote in this namespace, according to the API server."""
        marker = f"marker-{secrets.token_hex(4)}"
        namespace.exists("configmap", marker)
        wait_for(lambda: marker in cluster.audit_log.read_text(), "the audit log")
        events = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in events
            if event["userAgent"] == FIELD_MANAGER
            and event["verb"] not in {"get", "list", "watch"}
            and event.get("objectRef", {}).get("namespace") == namespace.name
        ]

    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    start_agent(namespace, agent())
    assert operator.settle(namespace.name).ready
    operator.clock.advance(
        (SETTLE + RECENT).total_seconds()
    )  # what else the registration made would be listed
    operator.settle(namespace.name)
    before = writes()
    assert before
    operator.clock.advance(3600)
    operator.settle(namespace.name, times=5)
    operator.restart()
    operator.settle(namespace.name, times=5)
    assert writes() == before


def test_a_function_deleted_in_cvat_is_registered_again(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    first = namespace.status()["functionID"]
    annotation.forget_function(first)
    operator.settle(namespace.name)
    (function,) = annotation.functions()
    assert function.id != first
    assert namespace.status()["functionID"] == function.id
    environment = namespace.get("statefulset", "cars-agent")["spec"]["template"]["spec"]["containers"][0][
        "env"
    ]
    assert {"name": "SAM2_AGENT_FUNCTION_ID", "value": str(function.id)} in environment


@pytest.mark.parametrize("kind", ["statefulset", "serviceaccount", "networkpolicy", "secret"])
def test_what_is_deleted_comes_back(
    annotation: CVAT, namespace: Namespace, operator: Operator, kind: str
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    name = "cars-state" if kind == "secret" else "cars-agent"
    before = namespace.get(kind, name)
    namespace.delete(kind, name)
    operator.settle(namespace.name)
    after = namespace.get(kind, name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after.get("spec") == before.get("spec")
    assert after.get("data") == before.get("data")


@pytest.mark.parametrize(
    ("kind", "name", "patch"),
    [
        ("statefulset", "cars-agent", {"spec": {"replicas": 3}}),
        (
            "statefulset",
            "cars-agent",
            {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}},
        ),
        ("statefulset", "cars-agent", {"metadata": {"labels": {"app.kubernetes.io/instance": "bikes"}}}),
        ("serviceaccount", "cars-agent", {"automountServiceAccountToken": True}),
        ("networkpolicy", "cars-agent", {"spec": {"policyTypes": ["Egress"]}}),
        ("secret", "cars-state", {"data": {"url": "eA=="}}),
    ],
)
def test_what_is_edited_is_repaired(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    kind: str,
    name: str,
    patch: dict[str, object],
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)

    def state() -> dict[str, object]:
        live = namespace.get(kind, name)
        return {key: live.get(key) for key in ("spec", "data", "automountServiceAccountToken")} | {
            "labels": live["metadata"]["labels"]
        }

    before = state()
    namespace.patch(kind, name, patch)
    assert state() != before
    operator.settle(namespace.name)
    assert state() == before


def test_a_changed_function_is_replaced_and_the_old_one_deleted(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    first = namespace.status()["functionID"]
    namespace.apply_tracker(annotation.url, function={"name": "Cars and bikes", "shapeTypes": ["mask"]})

    def replaced() -> bool:
        operator.reconcile(namespace.name)
        return len(annotation.functions()) == 1 and annotation.functions()[0].id != first

    wait_for(replaced, "the new function")
    (function,) = annotation.functions()
    assert (function.name, function.supported_shape_types) == ("Cars and bikes", ["mask"])
    assert function.id != first
    assert namespace.status().get("obsoleteFunctionIDs", []) == []


def test_the_old_function_stays_until_no_agent_serves_it(
    annotation: CVAT, namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    start_agent(namespace, agent())
    (old,) = annotation.functions()
    # Only a kubelet ends a pod that has a node and a finalizer of somebody's: until then the agent may serve.
    namespace.patch("pod", "cars-agent-0", {"metadata": {"finalizers": ["example.com/still-serving"]}})
    namespace.apply_tracker(annotation.url, function={"name": "Cars and bikes"})
    operator.settle(namespace.name)
    assert old.id in {each.id for each in annotation.functions()}
    assert namespace.status()["obsoleteFunctionIDs"] == [old.id]
    namespace.patch("pod", "cars-agent-0", {"metadata": {"finalizers": None}})

    def replaced() -> bool:
        operator.reconcile(namespace.name)
        return [each.name for each in annotation.functions()] == ["Cars and bikes"]

    wait_for(replaced, "the old function to go")


def test_suspending_stops_the_agent_and_keeps_the_function(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    namespace.apply_tracker(annotation.url, suspend=True)
    operator.settle(namespace.name)
    assert namespace.get("statefulset", "cars-agent")["spec"]["replicas"] == 0
    assert namespace.condition("Ready")["reason"] == "Suspended"
    assert len(annotation.functions()) == 1


@pytest.mark.parametrize(("policy", "left"), [("Delete", 0), ("Retain", 1)])
def test_deleting_removes_agent_function_and_state(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    *,
    acl_redis: RedisServer,
    policy: str,
    left: int,
) -> None:
    namespace.apply_tracker(annotation.url, function={"deletionPolicy": policy})
    operator.settle(namespace.name)
    uid = namespace.get("s2t", "cars")["metadata"]["uid"]
    with acl_redis.client() as client:
        client.set(f"s2t:{{{uid}}}:answer", "mine")
        client.set("s2t:{other}:answer", "not mine")
        assert f"s2t-{uid}" in client.acl_users()
    namespace.delete("s2t", "cars", "--wait=false")

    def gone() -> bool:
        operator.reconcile(namespace.name)
        return not namespace.exists("s2t", "cars")

    wait_for(gone, "the tracker's end")
    assert not namespace.exists("statefulset", "cars-agent")
    assert len(annotation.functions()) == left
    with acl_redis.client() as client:
        assert client.keys() == [b"s2t:{other}:answer"]
        assert f"s2t-{uid}" not in client.acl_users()
