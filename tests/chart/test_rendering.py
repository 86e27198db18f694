"""What the chart makes of its values."""

from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, Helm, Manifest, Rendered

CREDENTIALS = "/var/run/secrets/sam2-operator/redis"


def test_selectors_match_their_pods_and_nothing_else(rendered: Rendered) -> None:
    pods = {name: pod["metadata"]["labels"] for name, pod in rendered.pods().items()}
    for service in rendered.of_kind("Service"):
        selector = service["spec"]["selector"]
        matched = [name for name, labels in pods.items() if selector.items() <= labels.items()]
        assert len(matched) == 1, service["metadata"]["name"]
        ports = _ports(rendered.pods()[matched[0]])
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports
    for workload in rendered.of_kind("Deployment", "StatefulSet"):
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items()


def test_a_new_version_of_the_chart_alone_restarts_no_redis(defaults: Rendered) -> None:
    labels = defaults.one("StatefulSet", "sam2-tracker-redis")["spec"]["template"]["metadata"]["labels"]

    assert "helm.sh/chart" not in labels
    assert "app.kubernetes.io/version" not in labels


def test_there_is_never_more_than_one_operator(defaults: Rendered) -> None:
    spec = defaults.one("Deployment", "sam2-tracker-operator")["spec"]

    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_images_default_to_the_chart_s_version(defaults: Rendered) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    operator = defaults.one("Deployment", "sam2-tracker-operator")

    assert _container(operator)["image"] == f"sam2-tracker-operator:{version}"
    assert _environment(operator)["SAM2_OPERATOR_AGENT_IMAGE"] == f"sam2-tracker-agent:{version}"
    assert {_container(job)["image"] for job in defaults.of_kind("Job")} == {
        f"sam2-tracker-operator:{version}"
    }


def test_a_digest_wins_over_a_tag(helm: Helm) -> None:
    digest = f"sha256:{'0' * 64}"
    rendered = helm.template(operator__image={"repository": "a.b/c", "tag": "1", "digest": digest})

    assert _container(rendered.one("Deployment", "sam2-tracker-operator"))["image"] == f"a.b/c@{digest}"


@pytest.mark.parametrize(
    ("release", "operator", "redis"),
    [
        ("sam2-tracker", "sam2-tracker-operator", "sam2-tracker-redis"),
        ("sam2-tracker-operator", "sam2-tracker-operator", "sam2-tracker-operator-redis"),
        ("s", "s-operator", "s-redis"),
        ("a" * 53, f"{'a' * 40}-operator", f"{'a' * 40}-redis"),
    ],
)
def test_names_follow_the_release(helm: Helm, release: str, operator: str, redis: str) -> None:
    rendered = helm.template(release=release)

    assert rendered.one("Deployment", operator)
    assert rendered.one("Service", redis)
    assert all(
        len(each["metadata"]["name"]) <= 63 for each in rendered.of_kind("Service", "StatefulSet", "Job")
    )


def test_the_operator_finds_the_release_s_redis(helm: Helm) -> None:
    rendered = helm.template(release="rel", namespace="ns")
    operator = rendered.one("Deployment", "rel-operator")

    environment = _environment(operator)
    assert environment["SAM2_OPERATOR_REDIS_URL"] == "redis://admin@rel-redis.ns.svc:6379/0"
    assert environment["SAM2_OPERATOR_REDIS_PASSWORD_FILE"] == f"{CREDENTIALS}/password"
    assert environment["SAM2_OPERATOR_REDIS_MANAGE_USERS"] == "true"
    assert _secret_files(operator) == {("rel-redis", "password")}


def test_your_own_redis_by_url(helm: Helm) -> None:
    rendered = helm.template(
        redis={
            "enabled": False,
            "url": "rediss://redis.example:6380/1",
            "caSecret": "ca",
            "manageUsers": False,
        }
    )
    operator = rendered.one("Deployment", "sam2-tracker-operator")

    assert not rendered.of_kind("StatefulSet", "Secret", "ConfigMap")
    environment = _environment(operator)
    assert environment["SAM2_OPERATOR_REDIS_URL"] == "rediss://redis.example:6380/1"
    assert environment["SAM2_OPERATOR_REDIS_CA_FILE"] == f"{CREDENTIALS}/ca.crt"
    assert environment["SAM2_OPERATOR_REDIS_MANAGE_USERS"] == "false"
    assert "SAM2_OPERATOR_REDIS_PASSWORD_FILE" not in environment
    assert _secret_files(operator) == {("ca", "ca.crt")}


def test_your_own_redis_by_a_secret(helm: Helm) -> None:
    rendered = helm.template(redis__enabled=False, redis__existingSecret="ours")
    operator = rendered.one("Deployment", "sam2-tracker-operator")

    assert not rendered.of_kind("StatefulSet", "Secret", "ConfigMap")
    environment = _environment(operator)
    assert environment["SAM2_OPERATOR_REDIS_URL_FILE"] == f"{CREDENTIALS}/url"
    assert "SAM2_OPERATOR_REDIS_URL" not in environment
    assert _secret_files(operator) == {("ours", "url")}


def test_a_password_of_your_own_is_used_and_none_is_made(helm: Helm) -> None:
    rendered = helm.template(redis__existingSecret="ours")

    assert not rendered.of_kind("Secret")
    assert _secret_files(rendered.one("Deployment", "sam2-tracker-operator")) == {("ours", "password")}
    volumes = rendered.one("StatefulSet", "sam2-tracker-redis")["spec"]["template"]["spec"]["volumes"]
    assert [each["secret"]["secretName"] for each in volumes if "secret" in each] == ["ours"]


def test_redis_keeps_what_it_holds_on_a_volume(defaults: Rendered) -> None:
    [claim] = defaults.one("StatefulSet", "sam2-tracker-redis")["spec"]["volumeClaimTemplates"]

    assert "storageClassName" not in claim["spec"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_an_empty_storage_class_is_not_the_default_one(helm: Helm) -> None:
    rendered = helm.template(redis__persistence__storageClass="")

    [claim] = rendered.one("StatefulSet", "sam2-tracker-redis")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == ""


def test_hooks_run_the_operator_s_image_and_leave_nothing(defaults: Rendered) -> None:
    hooks = {
        each["metadata"]["name"]: each for each in defaults.objects if "helm.sh/hook" in _annotations(each)
    }

    assert all(
        _annotations(each)["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
        for each in hooks.values()
    )
    crds, uninstall = hooks["sam2-tracker-operator-crds"], hooks["sam2-tracker-operator-uninstall"]
    assert crds["kind"] == uninstall["kind"] == "Job"
    assert _annotations(crds)["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert _container(crds)["args"] == ["crds", "apply"]
    assert _annotations(uninstall)["helm.sh/hook"] == "post-delete", "an operator would hold them again"
    assert _container(uninstall)["args"] == ["trackers", "release"]


def test_an_uninstall_that_deletes_trackers_does_so_while_the_operator_runs(helm: Helm) -> None:
    rendered = helm.template(uninstall={"deleteTrackers": True, "timeoutSeconds": 600})
    job = rendered.one("Job", "sam2-tracker-operator-uninstall")

    assert _annotations(job)["helm.sh/hook"] == "pre-delete"
    assert _container(job)["args"][:3] == ["trackers", "delete", "--timeout"]
    assert int(_container(job)["args"][-1]) < job["spec"]["activeDeadlineSeconds"] == 600


def test_the_crd_s_hook_can_be_turned_off(helm: Helm) -> None:
    rendered = helm.template(crds__apply=False)

    hooks = {_annotations(each).get("helm.sh/hook") for each in rendered.objects}
    assert hooks == {None, "post-delete"}


def test_an_uninstall_keeps_what_a_later_install_goes_on_with(defaults: Rendered) -> None:
    assert _annotations(defaults.one("Secret", "sam2-tracker-redis"))["helm.sh/resource-policy"] == "keep"


def test_the_notes_name_the_next_two_commands(helm: Helm) -> None:
    notes = helm("install", "x", CHART, "--dry-run=client", "--namespace", "cvat").split("NOTES:")[1]

    assert "kubectl create secret generic cvat-agent" in notes
    assert "kubectl apply -f -" in notes
    assert "all namespaces" in notes


def _annotations(manifest: Manifest) -> dict[str, str]:
    return dict(manifest["metadata"].get("annotations", {}))


def _container(workload: Manifest) -> dict[str, Any]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def _environment(workload: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in _container(workload)["env"]}


def _secret_files(workload: Manifest) -> set[tuple[str, str]]:
    """The mounted keys of Secrets: (name of the Secret, key)."""
    projections = [each for each in workload["spec"]["template"]["spec"]["volumes"] if "projected" in each]
    sources = [source["secret"] for each in projections for source in each["projected"]["sources"]]
    return {(source["name"], item["key"]) for source in sources for item in source["items"]}


def _ports(pod: Manifest) -> set[str]:
    return {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
