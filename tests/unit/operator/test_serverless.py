"""A tracker that CVAT calls: its objects, its agent's settings, and what is told of it."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import pytest

from sam2_agent.adapters.http_door import TOKEN_HEADER as AGENTS_HEADER
from sam2_agent.settings import ServerlessSettings, load
from sam2_operator.api.tracker import Tracker
from sam2_operator.core import naming
from sam2_operator.core.children import door_secret, door_service, network_policy
from sam2_operator.core.conditions import gateway_finding
from sam2_operator.core.environment import DOOR_PORT
from sam2_operator.core.gateway import TOKEN_HEADER, Gateway, door_token, token_of
from sam2_operator.core.observed import Problem, Workload
from sam2_operator.core.placement import Defaults
from sam2_operator.core.plan import Action, Apply, Children, Wishes, plan
from sam2_operator.core.workload import stateful_set
from sam2_operator.errors import GatewayKeyError
from tests.neighbours.pods import environment as environment_of
from tests.unit.operator.build import DEFAULTS, NOW, UID, tracker

if TYPE_CHECKING:
    from pathlib import Path

LABELS = {"app.kubernetes.io/component": "gateway", "app.kubernetes.io/instance": "sam2"}
GATEWAY = Gateway("sam2-system", LABELS, lambda: "key")
WITH_GATEWAY = Defaults("sam2-tracker-agent:0.1.0", gateway=GATEWAY)
NOTHING = Children(None, None, None, None, Workload(None, None, None))


def called(**spec: Any) -> Tracker:
    """A serverless tracker named cars."""
    part = {"interface": "Serverless", "url": None, "credentialsSecretRef": None}
    return tracker(**{"cvat": part, **spec})


def template(**spec: Any) -> dict[str, Any]:
    written: dict[str, Any] = stateful_set(called(**spec), None, WITH_GATEWAY, "digest")["spec"]["template"]
    return written


def kinds(actions: list[Action]) -> list[str]:
    return [
        f"{each.wanted['kind']}/{each.wanted['metadata']['name']}"
        for each in actions
        if isinstance(each, Apply)
    ]


def test_the_pod_parses_in_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [each for each in os.environ if each.startswith("SAM2_AGENT_")]:
        monkeypatch.delenv(variable)
    environment = environment_of(tmp_path, template())
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load(environment)
    assert isinstance(settings, ServerlessSettings)
    assert settings.door_port == DOOR_PORT
    assert settings.door_token_file == tmp_path / "var/run/secrets/sam2-agent/door/token"
    assert settings.key_prefix == f"s2t:{{{UID}}}:"
    assert settings.shape_types == {"mask", "polygon", "rectangle"}


def test_operator_and_agent_mean_the_same_header() -> None:
    assert TOKEN_HEADER == AGENTS_HEADER


def test_nothing_of_cvat_is_in_the_pod() -> None:
    spec = template()["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["tmp", "door", "redis", "cache"]
    (container,) = spec["containers"]
    assert not [each["name"] for each in container["env"] if "CVAT" in each["name"]]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": 8080,
        "door": 8081,
    }


def test_the_door_is_open_to_the_gateways_pods_and_the_status_to_all() -> None:
    status, door = network_policy(called(), GATEWAY)["spec"]["ingress"]
    assert status == {"ports": [{"port": 8080, "protocol": "TCP"}]}
    assert door["ports"] == [{"port": 8081, "protocol": "TCP"}]
    (peer,) = door["from"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "sam2-system"}},
        "podSelector": {"matchLabels": LABELS},
    }


def test_other_trackers_get_no_door() -> None:
    assert network_policy(tracker(), GATEWAY) == network_policy(tracker())
    assert len(network_policy(called())["spec"]["ingress"]) == 1
    assert token_of(GATEWAY, tracker()) is None


def test_the_service_leads_to_the_agent_whatever_the_tracker_is_called() -> None:
    service = door_service(called())
    assert service["spec"]["selector"] == naming.selector("cars")
    assert service["metadata"]["name"] == "door-cars"
    assert naming.door_name("2cars")[0].isalpha()  # as the name of a Service must


def test_a_token_is_fixed_and_each_trackers_own() -> None:
    token = token_of(GATEWAY, called())
    assert token == door_token("key", UID)
    assert len({token, door_token("key", "another"), door_token("another", UID)}) == 3
    assert base64.b64decode(door_secret(called(), "abc")["data"]["token"]) == b"abc"


def test_a_gateways_key_is_in_no_repr() -> None:
    assert "key" not in repr(Gateway("lab", {}, lambda: "key")).replace("Gateway(", "")


def test_what_is_made_for_it() -> None:
    wishes = Wishes(None, None, "digest", WITH_GATEWAY, shared_cache=True, door_token="token")
    assert kinds(plan(called(), NOTHING, wishes, NOW)) == [
        "ServiceAccount/cars-agent",
        "NetworkPolicy/cars-agent",
        "Service/door-cars",
        "Secret/cars-door",
        "StatefulSet/cars-agent",
    ]


def test_without_a_gateway_there_is_neither_door_nor_agent() -> None:
    problem = token_of(None, called())
    assert isinstance(problem, Problem)
    assert problem.reason == "NoGateway"
    assert "gateway.enabled" in problem.message
    wishes = Wishes(None, None, "digest", DEFAULTS, shared_cache=True)
    assert kinds(plan(called(), NOTHING, wishes, NOW)) == [
        "ServiceAccount/cars-agent",
        "NetworkPolicy/cars-agent",
    ]


def test_without_a_gateway_an_agent_that_runs_is_stopped_all_the_same() -> None:
    live = stateful_set(called(), None, WITH_GATEWAY, "digest")
    children = Children(None, None, None, None, Workload(live, None, None))
    wishes = Wishes(None, None, "digest", DEFAULTS, shared_cache=True)
    (change,) = [
        each
        for each in plan(called(suspend=True), children, wishes, NOW)
        if isinstance(each, Apply) and each.wanted["kind"] == "StatefulSet"
    ]
    assert change.wanted["spec"]["replicas"] == 0


def test_an_agent_that_does_not_serve_yet_can_say_so_to_the_gateway() -> None:
    assert door_service(called())["spec"]["publishNotReadyAddresses"] is True


def test_a_function_in_its_status_makes_it_no_agent_of_cvats_queue() -> None:
    with_function = stateful_set(called(), 7, WITH_GATEWAY, "digest")
    assert with_function == stateful_set(called(), None, WITH_GATEWAY, "digest")


def test_a_key_that_cannot_be_read_is_told() -> None:
    def unreadable() -> str:
        raise GatewayKeyError("The operator cannot read /key: mount the Secret.")

    problem = token_of(Gateway("lab", {}, unreadable), called())
    assert problem == Problem("NoGateway", "The operator cannot read /key: mount the Secret.")


@pytest.mark.parametrize(
    ("problem", "status", "reason"),
    [(None, "True", "Serverless"), (Problem("NoGateway", "There is none."), "False", "NoGateway")],
)
def test_what_is_told_of_its_function(problem: Problem | None, status: str, reason: str) -> None:
    finding = gateway_finding(naming.gateway_function("lab", "cars"), problem)
    assert (finding.status, finding.reason) == (status, reason)
    assert problem is not None or "lab.cars" in finding.message
