"""The chart on a real API server: what it accepts, what it then holds, what stays when the chart goes.

There are no nodes, so no pod runs: releases are installed without their hooks.
"""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import CHART, Helm
from tests.cluster import places
from tests.cluster.fixtures import RunningControlPlane
from tests.cluster.kubectl import Kubectl

pytestmark = pytest.mark.controlplane

RELEASE = "sam2-tracker"
NAMESPACE = "cvat"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:sam2-tracker-operator"
EXAMPLES = sorted((places.REPOSITORY / "examples").glob("*.yaml"))
PATIENCE = 30.0


@pytest.fixture(scope="module")
def kubectl(control_plane: RunningControlPlane) -> Kubectl:
    """The administrator's, in a cluster with namespaces that enforce restricted pods."""
    for name in (NAMESPACE, "team-a", "team-b"):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        control_plane.kubectl.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        )
    return control_plane.kubectl


@pytest.fixture(scope="module")
def helm(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"), kubectl.kubeconfig)


@pytest.fixture(scope="module")
def release(helm: Helm) -> None:
    """The chart, installed with its default values."""
    helm("install", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks")


@pytest.mark.usefixtures("release")
def test_the_pods_are_admitted_where_only_restricted_ones_are(kubectl: Kubectl) -> None:
    def admitted() -> set[str]:
        pods = kubectl.get("pods", "--namespace", NAMESPACE)["items"]
        return {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in pods}

    _wait_until(lambda: admitted() == {"operator", "redis"})


@pytest.mark.usefixtures("release")
def test_the_pods_of_the_hooks_are_admitted_too(helm: Helm, kubectl: Kubectl) -> None:
    for hook in ("crds", "uninstall"):
        manifest = helm(
            "template",
            RELEASE,
            CHART,
            "--namespace",
            NAMESPACE,
            "--show-only",
            f"templates/hooks/{hook}.yaml",
        )
        kubectl("apply", "--validate=strict", "-f", "-", stdin=manifest)
        job = f"job-name=sam2-tracker-operator-{hook}"
        _wait_until(lambda job=job: kubectl.get("pods", "-l", job, "--namespace", NAMESPACE)["items"])  # type: ignore[misc]
        kubectl("delete", "-f", "-", stdin=manifest)


@pytest.mark.usefixtures("release")
def test_an_upgrade_keeps_redis_s_password(helm: Helm, kubectl: Kubectl) -> None:
    before = _password(kubectl)

    helm(
        "upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks", "--set", "operator.logLevel=debug"
    )

    assert _password(kubectl) == before
    assert len(base64.b64decode(before)) == 40


@pytest.mark.usefixtures("release")
def test_an_upgrade_that_changes_nothing_restarts_nothing(helm: Helm, kubectl: Kubectl) -> None:
    def generations() -> dict[str, int]:
        workloads = kubectl.get("deployments,statefulsets", "--namespace", NAMESPACE)["items"]
        return {each["metadata"]["name"]: each["metadata"]["generation"] for each in workloads}

    before = generations()
    helm("upgrade", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks")

    assert generations() == before


def test_an_uninstall_keeps_the_crd_and_the_data(helm: Helm, kubectl: Kubectl) -> None:
    helm("install", "passing", CHART, "--namespace", "team-b", "--no-hooks")
    claim = "data-passing-redis-0"
    _wait_until(lambda: kubectl.run("get", "pvc", claim, "--namespace", "team-b").returncode == 0)

    helm("uninstall", "passing", "--namespace", "team-b", "--no-hooks")
    _wait_until(lambda: not kubectl.get("statefulsets", "--namespace", "team-b")["items"])

    assert "deletionTimestamp" not in kubectl.get("pvc", claim, "--namespace", "team-b")["metadata"]
    assert kubectl.get("crd", "sam2trackers.sam2.dev")
    left = kubectl.get("clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance=passing")
    assert not left["items"]


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_api_server_accepts_the_example(kubectl: Kubectl, example: Path) -> None:
    kubectl("apply", "--dry-run=server", "--validate=strict", "--namespace", NAMESPACE, "-f", str(example))


@pytest.mark.usefixtures("release")
def test_the_tracker_of_the_notes_is_accepted(helm: Helm, kubectl: Kubectl) -> None:
    notes = helm("get", "notes", RELEASE, "--namespace", NAMESPACE)
    tracker = notes.split("<<TRACKER\n")[1].split("TRACKER\n")[0]

    kubectl(
        "apply", "--dry-run=server", "--validate=strict", "--namespace", NAMESPACE, "-f", "-", stdin=tracker
    )


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("watch", "sam2trackers.sam2.dev", True),
        ("update", "sam2trackers.sam2.dev/status", True),
        ("create", "statefulsets.apps", True),
        ("get", "secrets", True),
        ("list", "secrets", False),
        ("create", "pods", False),
        ("create", "pods/exec", False),
        ("delete", "sam2trackers.sam2.dev", False),
        ("patch", "customresourcedefinitions.apiextensions.k8s.io", False),
        ("create", "clusterroles.rbac.authorization.k8s.io", False),
        ("create", "serviceaccounts/token", False),
        ("get", "nodes", False),
    ],
)
def test_the_operator_may_do_what_it_must_and_no_more(
    kubectl: Kubectl, verb: str, resource: str, *, allowed: bool
) -> None:
    assert _can(kubectl, OPERATOR, verb, resource, "team-a") is allowed


def test_with_namespaces_the_operator_sees_no_others(helm: Helm, kubectl: Kubectl) -> None:
    scope = ("--set", "namespaces={team-a}", "--set", "rbac.aggregateToDefaultRoles=false")
    helm("install", "scoped", CHART, "--namespace", "team-b", "--no-hooks", *scope)
    operator = "system:serviceaccount:team-b:scoped-operator"

    assert _can(kubectl, operator, "get", "secrets", "team-a")
    assert _can(kubectl, operator, "list", "sam2trackers.sam2.dev", "team-a")
    assert not _can(kubectl, operator, "get", "secrets", "team-b")
    assert not _can(kubectl, operator, "list", "sam2trackers.sam2.dev", "team-b")
    assert not _can(kubectl, operator, "get", "secrets", NAMESPACE)


@pytest.mark.usefixtures("release")
def test_editors_of_a_namespace_may_edit_trackers(kubectl: Kubectl) -> None:
    for person, role in (("ann", "edit"), ("vic", "view")):
        kubectl(
            "create", "rolebinding", person, f"--clusterrole={role}", f"--user={person}", "--namespace=team-b"
        )

    # The controller-manager copies aggregated rules a moment later.
    _wait_until(lambda: _can(kubectl, "ann", "create", "sam2trackers.sam2.dev", "team-b"))
    _wait_until(lambda: _can(kubectl, "vic", "list", "sam2trackers.sam2.dev", "team-b"))
    assert not _can(kubectl, "vic", "create", "sam2trackers.sam2.dev", "team-b")


def _can(kubectl: Kubectl, who: str, verb: str, resource: str, namespace: str) -> bool:
    kind, _, subresource = resource.partition("/")
    options = [f"--subresource={subresource}"] if subresource else []
    done = kubectl.run("auth", "can-i", verb, kind, *options, f"--as={who}", f"--namespace={namespace}")
    answer = done.stdout.strip()
    assert answer in {"yes", "no"}, done.stderr
    return answer == "yes"


def _password(kubectl: Kubectl) -> str:
    secret = kubectl.get("secret", "sam2-tracker-redis", "--namespace", NAMESPACE)
    password: str = secret["data"]["password"]
    return password


def _wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.2)
