"""v1alpha1 gains v1 on a running cluster: both are read and written, nothing is lost, no agent is restarted.

The operators of coming releases are this one with another `api/__init__.py`, where group and version stand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.api.crd import custom_resource_definition
from tests.controlplane import situations
from tests.controlplane.harness import tracker_manifest
from tests.controlplane.operating import operating
from tests.controlplane.situations import Outcomes
from tests.controlplane.surroundings import REPOSITORY, apply_crd
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.fixtures import RunningControlPlane
    from tests.cluster.kubectl import Kubectl
    from tests.controlplane.harness import Namespace, Operator
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow]

CRD = "sam2trackers.sam2.dev"


@pytest.fixture
def crd(cluster: RunningControlPlane) -> Iterator[None]:
    """The CRD, which may be changed: afterwards it is made anew."""
    yield
    kubectl = cluster.kubectl
    kubectl("api-resources")  # kubectl remembers versions that are no longer served
    for each in kubectl.get("s2t", "-A")["items"]:
        metadata = each["metadata"]
        patch = '{"metadata":{"finalizers":null}}'
        kubectl.run(
            "-n", metadata["namespace"], "patch", "s2t", metadata["name"], "--type=merge", "-p", patch
        )
    kubectl("delete", "crd", CRD, "--timeout=60s")
    apply_crd(kubectl)
    kubectl("api-resources")


def release(folder: Path, operates: str, serves: tuple[str, ...], stores: str) -> Path:
    """The operator of a release that uses, serves and stores these versions."""
    shutil.copytree(REPOSITORY / "operator", folder, ignore=shutil.ignore_patterns("__pycache__"))
    constants = folder / "sam2_operator/api/__init__.py"
    written = constants.read_text()
    for old, new in (
        ('VERSION = "v1alpha1"\n', f'VERSION = "{operates}"\n'),
        ("SERVED = (VERSION,)\n", f"SERVED = {serves!r}\n"),
        ("STORED = VERSION\n", f'STORED = "{stores}"\n'),
    ):
        assert old in written
        written = written.replace(old, new)
    constants.write_text(written)
    return folder


def stored_anew(kubectl: Kubectl) -> bool:
    """Write all trackers as they are; false where the operator wrote one meanwhile."""
    live = kubectl("get", "s2t", "-A", "-o", "json")
    done = kubectl.run("replace", "-f", "-", stdin=live)
    assert done.returncode == 0 or "(Conflict)" in done.stderr, done.stderr
    return done.returncode == 0


def apply_crd_of(operator: Path, kubeconfig: Path) -> None:
    """What the chart's hook does before an upgrade."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("SAM2_")}
    subprocess.run(
        [sys.executable, "-m", "sam2_operator", "crds", "apply"],
        env={**usual, "PYTHONPATH": str(operator), "KUBECONFIG": str(kubeconfig)},
        check=True,
    )


def read(namespace: Namespace, version: str, name: str = "cars") -> dict[str, Any]:
    return namespace.get(f"sam2trackers.{version}.sam2.dev", name)


def content(tracker: dict[str, Any]) -> dict[str, Any]:
    return {"spec": tracker["spec"], "status": tracker["status"], "uid": tracker["metadata"]["uid"]}


@pytest.mark.usefixtures("crd")
def test_another_version_of_the_api_rewrites_nothing(  # noqa: PLR0917 - all that stands around an operator
    cluster: RunningControlPlane,
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    acl_redis: RedisServer,
    tmp_path: Path,
) -> None:
    kubectl = cluster.kubectl
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    before = content(read(namespace, "v1alpha1"))
    agent = namespace.get("statefulset", "cars-agent")

    # A release that serves both.
    both = ("v1alpha1", "v1")
    apply_crd_of(release(tmp_path / "next", "v1alpha1", both, "v1alpha1"), cluster.kubeconfig)
    wait_for(lambda: kubectl.run("get", "--raw", "/apis/sam2.dev/v1/sam2trackers").returncode == 0, "v1")
    assert content(read(namespace, "v1")) == content(read(namespace, "v1alpha1")) == before

    # A release that uses and stores v1.
    newer = release(tmp_path / "after-next", "v1", both, "v1")
    apply_crd_of(newer, cluster.kubeconfig)
    settings = {"NAMESPACES": namespace.name}
    environment = {"PYTHONPATH": str(newer)}
    with operating(cluster.kubeconfig, acl_redis, tmp_path, settings, environment=environment):
        namespace.patch("s2t", "cars", {"spec": {"suspend": True}})
        wait_for(
            lambda: read(namespace, "v1alpha1")["status"]["conditions"][0]["observedGeneration"] == 2,
            "the operator of v1",
            within=60,
        )
        assert namespace.get("statefulset", "cars-agent")["spec"]["replicas"] == 0
        assert namespace.get("statefulset", "cars-agent")["spec"]["template"] == agent["spec"]["template"]
        assert namespace.get("statefulset", "cars-agent")["metadata"]["uid"] == agent["metadata"]["uid"]
        made = {"apiVersion": "sam2.dev/v1alpha1", "metadata": {"name": "bikes", "namespace": namespace.name}}
        kubectl.apply({**read(namespace, "v1"), **made, "status": {}})
        wait_for(lambda: read(namespace, "v1", "bikes").get("status", {}).get("functionID"), "its function")
        assert len(annotation.functions()) == 2

        # None is stored as v1alpha1 any more, and it is dropped.
        wait_for(lambda: stored_anew(kubectl), "all trackers to be written once more", within=60)
        stored = json.dumps({"status": {"storedVersions": ["v1"]}})
        kubectl("patch", "crd", CRD, "--subresource=status", "--type=merge", "-p", stored)
        apply_crd_of(release(tmp_path / "last", "v1", ("v1",), "v1"), cluster.kubeconfig)
        assert [each["name"] for each in kubectl.get("crd", CRD)["spec"]["versions"]] == ["v1"]
        for name in ("cars", "bikes"):
            kubectl("delete", f"sam2trackers.v1.sam2.dev/{name}", "-n", namespace.name, "--timeout=60s")
    left = len(annotation.functions())
    outcome = Outcomes(tried=2, converged=2 - left, orphans=left)
    assert situations.add("another version of the API", outcome).good


@pytest.mark.usefixtures("crd")
def test_an_operator_reads_trackers_of_a_newer_crd(
    cluster: RunningControlPlane, annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    """As during an upgrade, which applies the CRD first, and after a rollback, which leaves it."""
    newer = custom_resource_definition()
    schema = newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in ("spec", "status"):
        schema["properties"][part]["properties"]["flavor"] = {"type": "string", "default": "sweet"}
    schema["properties"]["spec"]["properties"]["cvat"]["properties"]["taste"] = {"type": "string"}
    cluster.kubectl.apply(newer)
    tracker = json.dumps(tracker_manifest(namespace.name, annotation.url, cvat={"taste": "of tomorrow"}))
    apply = ("apply", "--server-side", "--validate=strict", "-f", "-")
    wait_for(lambda: cluster.kubectl.run(*apply, stdin=tracker).returncode == 0, "the newer CRD", within=60)
    operator.settle(namespace.name)
    assert namespace.status()["functionID"]
    live = namespace.get("s2t", "cars")["spec"]
    assert (live["flavor"], live["cvat"]["taste"]) == ("sweet", "of tomorrow"), "nothing of it was removed"
    assert situations.add("an operator older than the CRD", Outcomes(converged=1)).good
