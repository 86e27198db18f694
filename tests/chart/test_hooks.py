"""The hooks on a real API server: their programs run, with the rights that the chart gives them."""

import json
import os
import subprocess
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


SCOPES = pytest.mark.parametrize(
    "values", [[], ["--set", f"namespaces={{{NAMESPACE}}}"]], ids=["everywhere", "scoped"]
)
DELETING = ("--set", "uninstall.deleteTrackers=true")


@SCOPES
def test_an_uninstall_keeps_the_trackers_and_nothing_holds_them(
    helm: Helm, kubectl: Kubectl, pods: HookPods, values: list[str]
) -> None:
    _install(helm, *values)
    kubectl.apply(_held("sam2", "example.com/theirs"), _held("going"), _held("bare"))
    _say_ready(kubectl, "sam2")
    kubectl("delete", "s2t", "going", "--namespace", NAMESPACE, "--wait=false")

    helm("uninstall", "hooked", "--timeout=60s", "--namespace", NAMESPACE)

    there = {each["metadata"]["name"]: each for each in _trackers(kubectl)}
    assert sorted(there) == ["bare", "sam2"], pods.output
    assert there["sam2"]["metadata"]["finalizers"] == ["example.com/theirs"]
    [ready] = there["sam2"]["status"]["conditions"]
    assert (ready["status"], ready["reason"]) == ("Unknown", "OperatorUninstalled")
    assert "Install the operator again" in ready["message"]
    assert there["sam2"]["status"]["functionID"] == 7
    assert "hooks/going was being deleted; function None may be left in CVAT" in _output(pods)
    assert kubectl.get("crd", CRD)
    assert kubectl.get("secret", "hooked-redis", "--namespace", NAMESPACE), "the password of what Redis keeps"
    assert _left_of_hooks(kubectl) == []
    _free(kubectl, "sam2")
    kubectl("delete", "s2t", "--all", "--namespace", NAMESPACE, "--timeout=10s")


def test_a_release_of_the_same_name_finds_the_password_again(helm: Helm, kubectl: Kubectl) -> None:
    _install(helm)
    before = kubectl.get("secret", "hooked-redis", "--namespace", NAMESPACE)["data"]
    helm("uninstall", "hooked", "--no-hooks", "--namespace", NAMESPACE)
    _install(helm)

    assert kubectl.get("secret", "hooked-redis", "--namespace", NAMESPACE)["data"] == before


@SCOPES
def test_an_uninstall_deletes_the_trackers_if_asked_to(
    helm: Helm, kubectl: Kubectl, pods: HookPods, values: list[str]
) -> None:
    _install(helm, *values, *DELETING)
    kubectl.apply(TRACKER)

    helm("uninstall", "hooked", "--timeout=60s", "--namespace", NAMESPACE)

    assert _trackers(kubectl) == [], pods.output
    assert _left_of_hooks(kubectl) == []


def test_an_uninstall_that_cannot_finish_fails_and_names_what_is_left(
    helm: Helm, kubectl: Kubectl, pods: HookPods
) -> None:
    short = ("--set", "uninstall.timeoutSeconds=30")
    _install(helm, *DELETING, *short)
    kubectl.apply(_held("sam2"))

    try:
        done = helm.run("uninstall", "hooked", "--timeout=60s", "--namespace", NAMESPACE)

        assert done.returncode != 0
        assert f"{NAMESPACE}/sam2" in pods.output["hooked-operator-uninstall"]
        assert kubectl.get("deployments", "--namespace", NAMESPACE)["items"]
        [tracker] = _trackers(kubectl)
        assert tracker["metadata"]["annotations"]["sam2.dev/deletion-deadline-seconds"] == "11"
    finally:
        _free(kubectl, "sam2")


def test_the_documented_command_frees_trackers_that_no_operator_deletes(helm: Helm, kubectl: Kubectl) -> None:
    _install(helm)
    kubectl.apply(_held("sam2"), _held("bikes"))
    kubectl("delete", "s2t", "--all", "--namespace", NAMESPACE, "--wait=false")
    page = (CHART.parents[1] / "docs" / "install.md").read_text()
    [command] = [block for block in page.split("```") if "finalizers" in block]

    done = subprocess.run(
        ["bash", "-euc", command],
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    kubectl("wait", "s2t", "--all", "--for=delete", "--namespace", NAMESPACE, "--timeout=10s")


def _install(helm: Helm, *values: str) -> None:
    """Install without the hook that applies the CRD, which other tests are about."""
    helm("install", "hooked", CHART, "--no-hooks", "--namespace", NAMESPACE, *values)


def _held(name: str, *others: str) -> Manifest:
    finalizers = ["sam2.dev/finalizer", *others]
    return {**TRACKER, "metadata": {"name": name, "namespace": NAMESPACE, "finalizers": finalizers}}


def _say_ready(kubectl: Kubectl, name: str) -> None:
    """Say in the operator's name that the tracker is ready."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "The agent serves.",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = {"status": {"functionID": 7, "conditions": [ready]}}
    options = ("--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
    kubectl("patch", "s2t", name, "--namespace", NAMESPACE, *options)


def _free(kubectl: Kubectl, name: str) -> None:
    patch = '--patch={"metadata":{"finalizers":null}}'
    kubectl("patch", "s2t", name, "--namespace", NAMESPACE, "--type=merge", patch)


def _trackers(kubectl: Kubectl) -> list[Manifest]:
    found: list[Manifest] = kubectl.get("sam2trackers", "--namespace", NAMESPACE)["items"]
    return found


def _output(pods: HookPods) -> str:
    return "".join(pods.output.values())


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
