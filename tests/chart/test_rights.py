"""The operator as the chart runs it: the Deployment's environment, the account's rights, the chart's Redis.

Only the kubelet is missing: the operator is a process of this machine, and so is Redis.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.chart.helm import CHART, Helm, Manifest
from tests.chart.redis_server import RedisPod, pod_of
from tests.cluster import places
from tests.cluster.certificates import Authority
from tests.cluster.fixtures import RunningControlPlane
from tests.cluster.kubectl import Kubectl
from tests.cvat_standin.client import CVAT, wait_for

pytestmark = pytest.mark.controlplane

NAMESPACE = "rights"
RELEASE = "chart"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-operator"

# Granted, and not or not always used by the life of the tracker below.
JUSTIFIED = {
    ("list", "events"): "read when a StatefulSet cannot make its pod, for the words of its controller",
    ("delete", "pods"): "a pod that an old revision broke, or that is on a lost node",
    ("create", "statefulsets"): "a server-side apply of what is not there yet",
    ("create", "networkpolicies"): "a server-side apply of what is not there yet",
    ("create", "serviceaccounts"): "a server-side apply of what is not there yet",
    ("create", "persistentvolumeclaims"): "a server-side apply of what is not there yet",
    ("create", "secrets"): "a server-side apply of what is not there yet",
}


@dataclass
class Installed:
    """The release, its operator's process and its Redis."""

    kubectl: Kubectl
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, kind: str, name: str) -> Manifest:
        return self.kubectl.get("--namespace", NAMESPACE, kind, name)

    def is_there(self, kind: str, name: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.kubectl.run("--namespace", NAMESPACE, "get", kind, name).returncode == 0

    def condition(self, kind: str) -> str:
        conditions = self.get("s2t", "cars").get("status", {}).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "absent")

    def probe(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return int(answer.status)


@pytest.fixture
def redis_pod(kubectl: Kubectl, tmp_path: Path) -> Iterator[RedisPod]:
    config = kubectl.get("configmap", f"{RELEASE}-redis", "--namespace", NAMESPACE)
    secret = kubectl.get("secret", f"{RELEASE}-redis", "--namespace", NAMESPACE)
    folder = tmp_path / "redis"
    folder.mkdir()
    pod = pod_of(config, folder)
    assert pod.initialize(base64.b64decode(secret["data"]["password"]).decode()).returncode == 0
    pod.start()
    yield pod
    pod.stop()


@pytest.fixture(scope="module")
def kubectl(control_plane: RunningControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The administrator's, in a cluster with the chart."""
    kubectl = control_plane.kubectl
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    helm = Helm(tmp_path_factory.mktemp("helm"), kubectl.kubeconfig)
    helm("install", RELEASE, CHART, "--namespace", NAMESPACE, "--no-hooks")
    return kubectl


@pytest.fixture
def installed(kubectl: Kubectl, redis_pod: RedisPod, tmp_path: Path) -> Iterator[Installed]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    deployment = kubectl.get("deployment", f"{RELEASE}-operator", "--namespace", NAMESPACE)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    here = {
        # What a kubelet and the cluster's DNS would make of them.
        "SAM2_OPERATOR_INSTANCE": f"{RELEASE}-operator-0",
        "SAM2_OPERATOR_NAMESPACE": NAMESPACE,
        "SAM2_OPERATOR_REDIS_URL": f"redis://admin@127.0.0.1:{redis_pod.port}/0",
        "SAM2_OPERATOR_REDIS_PASSWORD_FILE": str(redis_pod.folder / "password"),
        "SAM2_OPERATOR_HTTP_PORT": str(port),
    }
    log = tmp_path / "operator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sam2_operator"],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(places.REPOSITORY / "operator"),
                "KUBECONFIG": str(_kubeconfig(kubectl, tmp_path)),
                **{each["name"]: each.get("value", "") for each in container["env"]},
                **here,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Installed(kubectl, port, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)
        sys.stderr.write(log.read_text())


def test_the_operator_has_the_rights_that_it_uses_and_no_others(
    installed: Installed, kubectl: Kubectl, control_plane: RunningControlPlane, cvat: CVAT
) -> None:
    cvat.add_user("agent")
    kubectl.apply(_secret(cvat.add_token("agent")), _certificates(), _tracker(cvat.url))

    # A tracker is made ...
    wait_for(lambda: installed.is_there("statefulset", "cars-agent"), "the StatefulSet", within=60)
    wait_for(lambda: installed.is_there("pod", "cars-agent-0"), "the pod", within=60)
    assert installed.is_there("secret", "cars-state")
    assert installed.is_there("pvc", "cars-cache")
    wait_for(lambda: installed.condition("StateStoreReachable") == "True", "Redis", within=60)
    for path in ("/livez", "/readyz", "/metrics"):
        assert installed.probe(path) == 200

    # ... changed: another pod, no claim, another Redis ...
    before = installed.get("pod", "cars-agent-0")["metadata"]["uid"]
    own = {"url": "redis://127.0.0.1:1/0"}
    _patch(kubectl, {"model": {"cache": None, "precision": "float32"}, "state": own})
    wait_for(lambda: not installed.is_there("secret", "cars-state"), "the end of the Secret", within=60)
    wait_for(lambda: _uid(installed) not in {before, None}, "another pod", within=90)

    # ... and deleted.
    _patch(kubectl, {"state": {"url": None}})
    kubectl("delete", "s2t", "cars", "--namespace", NAMESPACE, "--timeout=90s")
    assert cvat.functions() == []

    requests = [each for each in _audit(control_plane) if each["user"]["username"] == ACCOUNT]
    assert [each for each in requests if each["responseStatus"]["code"] == 403] == []
    used = {(each["verb"], _resource(each)) for each in requests if "objectRef" in each}
    assert _granted(kubectl) - used - set(JUSTIFIED) == set()
    assert set(JUSTIFIED) <= _granted(kubectl)


def _uid(installed: Installed) -> str | None:
    done = installed.kubectl.run(
        "get", "pod", "cars-agent-0", "-n", NAMESPACE, "-o", "jsonpath={.metadata.uid}"
    )
    return done.stdout or None


def _audit(control_plane: RunningControlPlane) -> list[Manifest]:
    return [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]


def _resource(request: Manifest) -> str:
    about = request["objectRef"]
    return "/".join(part for part in (about["resource"], about.get("subresource")) if part)


def _granted(kubectl: Kubectl) -> set[tuple[str, str]]:
    rules = kubectl.get("clusterrole", f"{RELEASE}-operator:{NAMESPACE}")["rules"]
    return {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}


def _patch(kubectl: Kubectl, spec: Manifest) -> None:
    kubectl("patch", "s2t", "cars", "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": spec}))


def _secret(token: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cvat-agent", "namespace": NAMESPACE},
        "stringData": {"token": token},
    }


def _certificates() -> Manifest:
    authority = Authority.create("company", datetime.now(UTC))  # noqa: TID251 - certificates expire
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "company-ca", "namespace": NAMESPACE},
        "data": {"ca.crt": authority.pair.certificate.decode()},
    }


def _tracker(url: str) -> Manifest:
    return {
        "apiVersion": "sam2.dev/v1alpha1",
        "kind": "SAM2Tracker",
        "metadata": {"name": "cars", "namespace": NAMESPACE},
        "spec": {
            "cvat": {
                "url": url,
                "credentialsSecretRef": {"name": "cvat-agent"},
                "caBundle": {"configMapKeyRef": {"name": "company-ca", "key": "ca.crt"}},
            },
            "model": {
                "id": "facebook/sam2.1-hiera-tiny",
                "device": "cpu",
                "cache": {"volumeClaimTemplate": {"size": "1Gi"}},
            },
        },
    }


def _kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    token = kubectl("create", "token", f"{RELEASE}-operator", "--namespace", NAMESPACE).strip()
    content = yaml.safe_load(kubectl.kubeconfig.read_text())
    content["users"] = [{"name": each["name"], "user": {"token": token}} for each in content["users"]]
    path = folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path
