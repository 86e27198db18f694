"""What a cluster's admin relies on, for every set of values."""

import json
from typing import Any

from tests.chart.helm import Helm, Rendered


def test_every_pod_is_restricted(rendered: Rendered) -> None:
    for pod in rendered.pods().values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        for container in _containers(spec):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "privileged" not in context


def test_every_container_has_a_read_only_root_and_bounded_memory(rendered: Rendered) -> None:
    for pod in rendered.pods().values():
        for container in _containers(pod["spec"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["memory"]


def test_only_pods_that_call_the_api_server_get_a_token(rendered: Rendered) -> None:
    for name, pod in rendered.pods().items():
        calls_the_api = not name.endswith("-redis")
        assert pod["spec"]["automountServiceAccountToken"] is calls_the_api, name
        assert pod["spec"]["enableServiceLinks"] is False
    for account in rendered.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_no_secret_reaches_the_environment_or_the_arguments(rendered: Rendered) -> None:
    passwords = [value for each in rendered.of_kind("Secret") for value in each["data"].values()]
    for pod in rendered.pods().values():
        text = json.dumps(pod)
        assert not any(password in text for password in passwords)
        for container in _containers(pod["spec"]):
            ours = [each for each in container.get("env", []) if each["name"].startswith("SAM2_")]
            assert not any("secretKeyRef" in each.get("valueFrom", {}) for each in ours)
            assert "envFrom" not in container


def test_roles_hold_no_wildcards(rendered: Rendered) -> None:
    for role in rendered.of_kind("Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], role["metadata"]["name"]


def test_roles_grant_no_power_over_roles_or_impersonation(rendered: Rendered) -> None:
    for role in rendered.of_kind("Role", "ClusterRole"):
        for rule in role["rules"]:
            assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
            assert not {"impersonate", "escalate", "bind"} & set(rule["verbs"])
            if "secrets" in rule["resources"]:
                assert not {"list", "watch"} & set(rule["verbs"])


def test_every_binding_binds_a_role_of_the_release(rendered: Rendered) -> None:
    roles = {(each["kind"], each["metadata"]["name"]) for each in rendered.of_kind("Role", "ClusterRole")}
    accounts = {each["metadata"]["name"] for each in rendered.of_kind("ServiceAccount")}
    for binding in rendered.of_kind("RoleBinding", "ClusterRoleBinding"):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert {each["name"] for each in binding["subjects"]} <= accounts
        assert {each["namespace"] for each in binding["subjects"]} == {"cvat"}


def test_namespaces_leave_no_right_outside_of_them(helm: Helm) -> None:
    rendered = helm.template(
        namespaces=["team-a", "team-b"], crds__apply=False, rbac__aggregateToDefaultRoles=False
    )

    assert not rendered.of_kind("ClusterRole", "ClusterRoleBinding")
    roles = rendered.of_kind("Role", "RoleBinding")
    assert {each["metadata"]["namespace"] for each in roles} == {"team-a", "team-b"}
    environment = _environment(rendered.one("Deployment", "sam2-tracker-operator"))
    assert environment["SAM2_OPERATOR_NAMESPACES"] == "team-a,team-b"


def test_redis_hears_the_operator_and_agents_only_and_calls_nobody(defaults: Rendered) -> None:
    policy = defaults.one("NetworkPolicy", "sam2-tracker-redis")["spec"]

    redis = defaults.one("StatefulSet", "sam2-tracker-redis")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= redis.items()
    operator = defaults.one("Deployment", "sam2-tracker-operator")["spec"]["template"]["metadata"]["labels"]
    [rule] = policy["ingress"]
    own, agents = rule["from"]
    assert own["podSelector"]["matchLabels"].items() <= operator.items()
    assert "namespaceSelector" not in own
    assert agents == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "sam2-agent"}},
        "namespaceSelector": {},
    }
    assert rule["ports"] == [{"port": "redis", "protocol": "TCP"}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []


def test_with_namespaces_redis_hears_only_their_agents(helm: Helm) -> None:
    policy = helm.template(namespaces=["team-a"]).one("NetworkPolicy", "sam2-tracker-redis")["spec"]

    _, agents = policy["ingress"][0]["from"]
    [expression] = agents["namespaceSelector"]["matchExpressions"]
    assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a"]}


def _containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    containers: list[dict[str, Any]] = [*spec.get("initContainers", []), *spec["containers"]]
    return containers


def _environment(deployment: dict[str, Any]) -> dict[str, str]:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}
