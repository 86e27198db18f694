"""The hooks on a real API server: their programs run, with the rights that the chart gives them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.helm import CHART, Helm, Manifest
from tests.chart.hook_pods import HookPods
from tests.cluster.fixtures import RunningControlPlane
from tests.cluster.kubectl import Kubectl

pytestmark = pytest.mark.controlplane

NAMESPACE = "hooks"
CRD = "sam2trackers.sam2.dev"
TRACKER = {
    "apiVersion": "sam2.dev/v1alpha1",
    "kind": "SAM2Tracker",
    "metadata": {"name": "sam2", "namespace": NAMESPACE},
    "spec": {
        "cvat": {"url": "http://cvat.example", "credentialsSecretRef": {"name": "cvat-agent"}},
        "model": {"id": "facebook/sam2.1-hiera-tiny"},
    },
}


@pytest.fixture(scope="module")
def kubectl(control_plane: RunningControlPlane) -> Kubectl:
    control_plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    return control_plane.kubectl


@pytest.fixture
def helm(kubectl: Kubectl, tmp_path: Path) -> Iterator[Helm]:
    """Helm; what it installs as ``hooked`` is gone afterwards."""
    helm = Helm(tmp_path, kubectl.kubeconfig)
    yield helm
    helm("uninstall", "hooked", "--namespace", NAMESPACE, "--no-hooks", "--ignore-not-found")
    kubectl("delete", "sam2trackers", "--all", "--namespace", NAMESPACE)


@pytest.fixture
def pods(kubectl: Kubectl, tmp_path: Path) -> Iterator[HookPods]:
    with HookPods(kubectl, NAMESPACE, tmp_path).running() as pods:
        yield pods


@pytest.mark.usefixtures("pods")
def test_an_install_brings_the_crd_of_an_older_release_up_to_date(helm: Helm, kubectl: Kubectl) -> None:
    _apply_older_crd(kubectl)

    helm("install", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE)

    assert "suspend" in _fields(kubectl)
    assert _left_of_hooks(kubectl) == []


@pytest.mark.usefixtures("pods")
def test_an_upgrade_brings_the_crd_up_to_date(helm: Helm, kubectl: Kubectl) -> None:
    helm("install", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE)
    _apply_older_crd(kubectl)

    helm("upgrade", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE)

    assert "suspend" in _fields(kubectl)
    assert _left_of_hooks(kubectl) == []


def test_an_upgrade_makes_a_crd_that_is_not_there(helm: Helm, kubectl: Kubectl, pods: HookPods) -> None:
    helm("install", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE, "--no-hooks")
    kubectl("delete", "crd", CRD, "--wait")

    helm("upgrade", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE)

    assert kubectl.get("crd", CRD), pods.output
    assert _left_of_hooks(kubectl) == []


@pytest.mark.parametrize(
    "values", [[], ["--set", f"namespaces={{{NAMESPACE}}}"]], ids=["everywhere", "scoped"]
)
def test_an_uninstall_deletes_the_trackers(
    helm: Helm, kubectl: Kubectl, pods: HookPods, values: list[str]
) -> None:
    helm("install", "hooked", CHART, "--timeout=60s", "--namespace", NAMESPACE, *values)
    kubectl.apply(TRACKER)

    helm("uninstall", "hooked", "--timeout=60s", "--namespace", NAMESPACE)

    assert kubectl.get("sam2trackers", "--namespace", NAMESPACE)["items"] == [], pods.output
    assert _left_of_hooks(kubectl) == []


def test_an_uninstall_that_cannot_finish_fails_and_names_what_is_left(
    helm: Helm, kubectl: Kubectl, pods: HookPods
) -> None:
    helm(
        "install",
        "hooked",
        CHART,
        "--timeout=60s",
        "--namespace",
        NAMESPACE,
        "--set",
        "uninstall.timeoutSeconds=30",
    )
    kubectl.apply({**TRACKER, "metadata": {**TRACKER["metadata"], "finalizers": ["sam2.dev/finalizer"]}})  # type: ignore[dict-item]

    try:
        done = helm.run("uninstall", "hooked", "--timeout=60s", "--namespace", NAMESPACE)

        assert done.returncode != 0
        assert f"{NAMESPACE}/sam2" in pods.output["hooked-operator-uninstall"]
        assert kubectl.get("deployments", "--namespace", NAMESPACE)["items"]
    finally:
        kubectl(
            "patch",
            "s2t",
            "sam2",
            "--namespace",
            NAMESPACE,
            "--type=merge",
            '--patch={"metadata":{"finalizers":null}}',
        )


def _apply_older_crd(kubectl: Kubectl) -> None:
    """Make the CRD one that an older chart would have applied: a field is not known yet."""
    crd = yaml.safe_load((CHART / "crds" / "sam2trackers.yaml").read_text())
    del _spec_of(crd)["suspend"]
    kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=helm",
        "-f",
        "-",
        stdin=json.dumps(crd),
    )
    assert "suspend" not in _fields(kubectl)


def _fields(kubectl: Kubectl) -> set[str]:
    """The fields of a tracker's spec that the API server knows."""
    return set(_spec_of(kubectl.get("crd", CRD)))


def _spec_of(crd: Manifest) -> Manifest:
    schema: Manifest = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties: Manifest = schema["properties"]["spec"]["properties"]
    return properties


def _left_of_hooks(kubectl: Kubectl) -> list[str]:
    kinds = "jobs,pods,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings"
    left = kubectl.get(kinds, "--namespace", NAMESPACE, "-l", "app.kubernetes.io/component=hook")["items"]
    return [f"{each['kind']}/{each['metadata']['name']}" for each in left]
