"""A tracker that CVAT calls through the gateway: its life, without a word to any CVAT."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.core.gateway import door_token
from tests.controlplane.agents import SpeakingAgent, start_agent
from tests.controlplane.harness import Namespace, Operator, tracker_manifest
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.redis_server import RedisServer

pytestmark = pytest.mark.controlplane


def manifest(namespace: Namespace, **cvat: Any) -> dict[str, Any]:
    """A serverless tracker, with what it may say of CVAT laid over."""
    wanted = tracker_manifest(namespace.name, "")
    wanted["spec"]["cvat"] = {"interface": "Serverless", **cvat}
    return wanted


@pytest.fixture(autouse=True)
def no_cvat(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to a serverless tracker, no CVAT is asked."""

    def asked(*_: object) -> None:
        raise AssertionError("a CVAT was asked")

    monkeypatch.setattr(operator.world.cvat, "session", asked)


def made(namespace: Namespace, operator: Operator) -> str:
    """Make the tracker; give its uid."""
    namespace.kubectl.apply(manifest(namespace))
    operator.settle(namespace.name)
    return str(namespace.get("s2t", "cars")["metadata"]["uid"])


def refusal(namespace: Namespace, wanted: dict[str, Any]) -> str:
    answer = namespace.kubectl.run("apply", "--server-side", "-f", "-", stdin=json.dumps(wanted))
    return answer.stderr if answer.returncode else ""


def test_its_agent_stands_behind_a_door_and_it_becomes_ready(
    namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> None:
    uid = made(namespace, operator)
    condition = namespace.condition("FunctionRegistered")
    assert (condition["status"], condition["reason"]) == ("True", "Serverless")
    assert f"{namespace.name}.cars" in condition["message"]
    assert "functionID" not in namespace.status()

    service = namespace.get("service", "door-cars")["spec"]
    assert [(each["port"], each["targetPort"]) for each in service["ports"]] == [(8081, 8081)]
    token = base64.b64decode(namespace.get("secret", "cars-door")["data"]["token"]).decode()
    assert token == door_token("the-key-of-the-doors-of-all-agents", uid)
    _, door = namespace.get("networkpolicy", "cars-agent")["spec"]["ingress"]
    assert door["from"][0]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "sam2-system"}
    }

    start_agent(namespace, agent())
    assert operator.settle(namespace.name).ready
    pod = namespace.get("pod", "cars-agent-0")
    assert pod["metadata"]["labels"].items() >= service["selector"].items()


def test_a_quiet_one_is_not_written(
    namespace: Namespace, operator: Operator, agent: Callable[[], SpeakingAgent]
) -> None:
    def versions() -> dict[str, str]:
        kinds = "s2t,statefulset,service,secret,networkpolicy,serviceaccount"
        items = namespace.kubectl.get("-n", namespace.name, kinds)["items"]
        return {
            f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
            for each in items
        }

    made(namespace, operator)
    start_agent(namespace, agent())
    wait_for(lambda: operator.reconcile(namespace.name).ready, "the tracker to be ready")
    wait_for(
        lambda: namespace.get("statefulset", "cars-agent")["status"].get("readyReplicas") == 1,
        "Kubernetes' own words about the StatefulSet",
    )
    operator.settle(namespace.name)
    before = versions()
    operator.clock.advance(3600)
    operator.settle(namespace.name)
    operator.restart()
    operator.settle(namespace.name)
    assert versions() == before


@pytest.mark.parametrize(("kind", "name"), [("service", "door-cars"), ("secret", "cars-door")])
def test_a_door_that_is_deleted_comes_back(
    namespace: Namespace, operator: Operator, kind: str, name: str
) -> None:
    made(namespace, operator)
    before = namespace.get(kind, name)
    namespace.delete(kind, name)
    operator.settle(namespace.name)
    after = namespace.get(kind, name)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after.get("data") == before.get("data")


@pytest.mark.parametrize(
    ("kind", "name", "patch"),
    [
        ("service", "door-cars", {"spec": {"selector": {"app.kubernetes.io/instance": "bikes"}}}),
        ("service", "door-cars", {"spec": {"selector": {"team": "vision"}}}),
        ("service", "door-cars", {"spec": {"publishNotReadyAddresses": False}}),
        ("networkpolicy", "cars-agent", {"spec": {"podSelector": {"matchLabels": {"team": "vision"}}}}),
        (
            "networkpolicy",
            "cars-agent",
            {"spec": {"podSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}},
        ),
        ("secret", "cars-door", {"data": {"token": "eA=="}}),
        ("networkpolicy", "cars-agent", {"spec": {"ingress": [{}]}}),
    ],
)
def test_a_door_that_is_edited_is_repaired(
    namespace: Namespace, operator: Operator, *, kind: str, name: str, patch: dict[str, Any]
) -> None:
    def content() -> tuple[Any, Any]:
        live = namespace.get(kind, name)
        return live.get("spec"), live.get("data")

    made(namespace, operator)
    before = content()
    namespace.patch(kind, name, patch)
    assert content() != before
    operator.settle(namespace.name)
    assert content() == before


def test_a_service_of_somebody_elses_is_named_and_left_alone(
    namespace: Namespace, operator: Operator
) -> None:
    theirs = {"ports": [{"port": 80}], "selector": {"app": "theirs"}}
    metadata = {"name": "door-cars", "namespace": namespace.name}
    namespace.kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": theirs})
    made(namespace, operator)
    assert namespace.get("service", "door-cars")["spec"]["selector"] == {"app": "theirs"}
    condition = namespace.condition("AgentAvailable")
    assert condition["reason"] == "NameTaken"
    assert "Service door-cars" in condition["message"]


def test_another_key_is_another_token_and_the_same_pod(namespace: Namespace, operator: Operator) -> None:
    uid = made(namespace, operator)
    template = namespace.get("statefulset", "cars-agent")["spec"]["template"]
    key = operator.settings.door_key_file
    assert key is not None
    key.write_text("another-key-of-the-doors-of-all-agents")
    operator.settle(namespace.name)
    token = base64.b64decode(namespace.get("secret", "cars-door")["data"]["token"]).decode()
    assert token == door_token("another-key-of-the-doors-of-all-agents", uid)
    assert namespace.get("statefulset", "cars-agent")["spec"]["template"] == template


def test_without_the_key_it_says_so_and_goes_on_as_it_was(namespace: Namespace, operator: Operator) -> None:
    made(namespace, operator)
    before = namespace.get("statefulset", "cars-agent")["metadata"]["generation"]
    key = operator.settings.door_key_file
    assert key is not None
    key.unlink()
    operator.settle(namespace.name)
    condition = namespace.condition("Ready")
    assert (condition["status"], condition["reason"]) == ("False", "NoGateway")
    assert namespace.get("statefulset", "cars-agent")["metadata"]["generation"] == before
    assert namespace.exists("secret", "cars-door")

    namespace.patch("s2t", "cars", {"spec": {"suspend": True}})
    operator.settle(namespace.name)
    assert namespace.condition("AgentAvailable")["reason"] == "Suspended"
    assert namespace.get("statefulset", "cars-agent")["spec"]["replicas"] == 0


def test_its_end_takes_all_with_it(namespace: Namespace, operator: Operator, acl_redis: RedisServer) -> None:
    uid = made(namespace, operator)
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
    wait_for(lambda: not namespace.exists("service", "door-cars"), "Kubernetes to collect the Service")
    wait_for(lambda: not namespace.exists("secret", "cars-door"), "Kubernetes to collect the Secret")
    with acl_redis.client() as client:
        assert client.keys() == [b"s2t:{other}:answer"]
        assert f"s2t-{uid}" not in client.acl_users()


@pytest.mark.parametrize(
    "cvat",
    [
        {"url": "https://app.cvat.ai"},
        {"credentialsSecretRef": {"name": "cvat"}},
        {"organization": "lab"},
        {"proxyUrl": "http://proxy:3128"},
        {"caBundle": {"secretKeyRef": {"name": "ca", "key": "ca.crt"}}},
    ],
)
def test_what_is_for_agents_is_refused(namespace: Namespace, cvat: dict[str, Any]) -> None:
    assert "are for interface Agent" in refusal(namespace, manifest(namespace, **cvat))


def test_a_function_of_cvat_cannot_be_given_to_it(namespace: Namespace) -> None:
    wanted = manifest(namespace)
    wanted["spec"]["function"] = {"id": 7}
    assert "it is for cvat.interface Agent" in refusal(namespace, wanted)


def test_its_interface_cannot_change(namespace: Namespace) -> None:
    assert refusal(namespace, manifest(namespace)) == ""
    usual = tracker_manifest(namespace.name, "https://app.cvat.ai")
    usual["spec"]["cvat"]["interface"] = "Agent"
    assert "interface cannot change" in refusal(namespace, usual)
