"""The gateway of the chart: off by default, closed to strangers, with next to no rights."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sam2_operator.gateway.app import MAX_BODY
from sam2_operator.gateway.room import FOR_ANSWERS
from sam2_operator.gateway.settings import GatewaySettings
from sam2_operator.settings import Settings
from tests.chart.helm import CHART, Helm, Manifest, Rendered
from tests.cvat_standin.serverless import Dashboard
from tests.integration.gateway.process import ALLOCATOR, OF_ONE_WAITING, OF_THE_PROCESS

VALUES = Path(__file__).parent / "values" / "gateway.yaml"
SCOPED = Path(__file__).parent / "values" / "gateway-scoped.yaml"
NAME = "sam2-tracker-gateway"
CVAT = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cvat"}}}]


@pytest.fixture(scope="module")
def full(helm: Helm) -> Rendered:
    """With all that it can have."""
    return helm.template(VALUES)


def container(workload: Manifest) -> dict[str, Any]:
    [only] = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(workload: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container(workload)["env"]}


def labels(workload: Manifest) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def test_it_is_off_unless_asked_for(defaults: Rendered) -> None:
    assert not [each for each in defaults.objects if "gateway" in each["metadata"]["name"]]
    assert not [
        name for name in environment(defaults.one("Deployment", "sam2-tracker-operator")) if "GATEWAY" in name
    ]


@pytest.mark.parametrize("values", [VALUES, SCOPED])
def test_both_programs_take_their_settings(helm: Helm, values: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = helm.template(values)
    programs = {"sam2-tracker-operator": Settings, NAME: GatewaySettings}
    for name, settings in programs.items():
        for variable, value in environment(rendered.one("Deployment", name)).items():
            monkeypatch.setenv(variable, value)
        try:
            settings()
        except ValidationError as error:
            raise AssertionError(str(error)) from None


def test_operator_and_gateway_have_the_same_key(full: Rendered) -> None:
    for name in ("sam2-tracker-operator", NAME):
        volumes = full.one("Deployment", name)["spec"]["template"]["spec"]["volumes"]
        keys = [each["secret"]["secretName"] for each in volumes if "door-key" in str(each)]
        assert keys == [NAME], name
    assert set(full.one("Secret", NAME)["data"]) == {"door-key", "secret"}


def test_agents_are_told_of_the_gateways_own_pods(full: Rendered) -> None:
    told = environment(full.one("Deployment", "sam2-tracker-operator"))["SAM2_OPERATOR_GATEWAY_LABELS"]
    named = dict(each.split("=") for each in told.split(","))
    assert named.items() <= labels(full.one("Deployment", NAME)).items()
    others = [pod for name, pod in full.pods().items() if not name.endswith(NAME)]
    assert not any(named.items() <= pod["metadata"]["labels"].items() for pod in others)


def test_it_may_list_and_watch_trackers_and_nothing_else(full: Rendered) -> None:
    assert full.one("ClusterRole", f"{NAME}:cvat")["rules"] == [
        {"apiGroups": ["sam2.dev"], "resources": ["sam2trackers"], "verbs": ["list", "watch"]}
    ]


def test_with_namespaces_it_sees_those_only(helm: Helm) -> None:
    rendered = helm.template(SCOPED)
    roles = [each for each in rendered.of_kind("Role") if each["metadata"]["name"] == NAME]
    assert {each["metadata"]["namespace"] for each in roles} == {"team-a", "team-b"}
    assert environment(rendered.one("Deployment", NAME))["SAM2_GATEWAY_NAMESPACES"] == "team-a,team-b"
    assert not rendered.of_kind("ClusterRole")


def test_the_operator_gets_the_right_to_services_with_it_only(full: Rendered, defaults: Rendered) -> None:
    def rights(rendered: Rendered) -> set[str]:
        rules = rendered.one("ClusterRole", "sam2-tracker-operator:cvat")["rules"]
        return {verb for rule in rules if "services" in rule["resources"] for verb in rule["verbs"]}

    assert rights(defaults) == set()
    assert rights(full) == {"get", "create", "patch"}


def test_only_those_named_may_call_it(helm: Helm) -> None:
    rendered = helm.template(gateway={"enabled": True, "from": CVAT})
    policy = rendered.one("NetworkPolicy", NAME)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels(rendered.one("Deployment", NAME)).items()
    calls, metrics = policy["ingress"]
    assert calls == {"ports": [{"port": "nuclio", "protocol": "TCP"}], "from": CVAT}
    assert metrics["ports"] == [{"port": "http", "protocol": "TCP"}]


@pytest.mark.parametrize(
    "values",
    [
        {"gateway": {"enabled": True}},
        {"gateway": {"enabled": True, "from": CVAT}, "networkPolicy": {"enabled": False}},
    ],
)
def test_one_that_everybody_could_call_is_refused(helm: Helm, values: dict[str, Any]) -> None:
    assert "name CVAT's pods in gateway.from" in helm.refusal(**values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicas": 0}, "minimum: got 0, want 1"),
        ({"nuclioUrl": "nuclio:8070"}, "at '/gateway/nuclioUrl'"),
        ({"nuclioUrl": "http://me:secret@nuclio"}, "at '/gateway/nuclioUrl'"),
        ({"env": [{"name": "SAM2_GATEWAY_PORT", "value": "1"}]}, "at '/gateway/env/0/name'"),
        ({"resources": {"limits": {"memory": None}}}, "missing property 'memory'"),
        ({"resources": {"limits": {"memory": "511Mi"}}}, "memory is less than 512Mi"),
        ({"nonsense": 1}, "additional properties 'nonsense' not allowed"),
    ],
)
def test_nonsense_is_refused(helm: Helm, values: dict[str, Any], sentence: str) -> None:
    assert sentence in helm.refusal(gateway={"enabled": True, "requireSecret": True, **values})


def test_its_allocator_is_set_as_where_its_memory_is_measured(full: Rendered) -> None:
    assert environment(full.one("Deployment", NAME)).items() >= ALLOCATOR.items()


def test_what_it_holds_fits_into_its_memory(full: Rendered, helm: Helm) -> None:
    def told(rendered: Rendered) -> tuple[int, int]:
        variables = environment(rendered.one("Deployment", NAME))
        return int(variables["SAM2_GATEWAY_MAX_BYTES"]), int(variables["SAM2_GATEWAY_MAX_WAITING"])

    assert told(full) == (2**30, 512)
    least = {"enabled": True, "from": CVAT, "resources": {"limits": {"memory": "512Mi"}}}
    calls, waiting = told(helm.template(gateway=least))
    assert calls >= MAX_BODY, "the longest call has no room"
    assert OF_THE_PROCESS + calls * (1 + 1 / FOR_ANSWERS) + waiting * OF_ONE_WAITING <= 2**29


def test_nodes_can_be_drained_and_calls_are_not_cut_off(full: Rendered, helm: Helm) -> None:
    assert full.one("PodDisruptionBudget", NAME)["spec"]["maxUnavailable"] == 1
    assert not helm.template(SCOPED).of_kind("PodDisruptionBudget")
    spec = full.one("Deployment", NAME)["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    told = environment(full.one("Deployment", NAME))
    patience = float(told["SAM2_GATEWAY_DEFAULT_TIMEOUT_SECONDS"])
    drains = float(told["SAM2_GATEWAY_DRAIN_SECONDS"])
    assert drains > patience == 300
    takes = GatewaySettings.model_fields["linger_seconds"].default + drains
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > takes
    longest = helm.template(gateway={"enabled": True, "from": CVAT, "defaultTimeoutSeconds": 3600})
    variables = environment(longest.one("Deployment", NAME))
    GatewaySettings.model_validate(
        {"door_key_file": "/key", "drain_seconds": variables["SAM2_GATEWAY_DRAIN_SECONDS"]}
    )


def test_replicas_are_spread_unless_somebody_says_otherwise(helm: Helm, full: Rendered) -> None:
    usual = helm.template(gateway={"enabled": True, "from": CVAT}).one("Deployment", NAME)
    assert "podAntiAffinity" in usual["spec"]["template"]["spec"]["affinity"]
    assert set(full.one("Deployment", NAME)["spec"]["template"]["spec"]["affinity"]) == {"nodeAffinity"}


def test_the_notes_tell_how_cvat_is_pointed_at_it(helm: Helm) -> None:
    values = ("--namespace", "tracking", "--values", VALUES)
    notes = helm("install", "x", CHART, "--dry-run=client", *values).split("NOTES:")[1]
    assert "CVAT_NUCLIO_HOST=x-gateway.tracking.svc" in notes
    assert "CVAT_NUCLIO_HOST=cvat:<secret>@x-gateway.tracking.svc" in notes
    told = dict(each.split("=", 1) for each in re.findall(r"CVAT_NUCLIO_[A-Z]+=\S+", notes))
    Dashboard.of(told)  # a CVAT that cannot read its environment does not start
    assert "cvat: {interface: Serverless}" in notes
