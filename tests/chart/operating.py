"""The operator as the chart runs it: the Deployment's environment, the account's rights, the chart's Redis.

Only the kubelet is missing: the operator is a process of this machine, and so is Redis.
"""

import base64
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from sam2_operator.settings import PREFIX
from tests.chart.helm import Manifest
from tests.chart.redis_server import RedisPod, pod_of
from tests.cluster.certificates import Authority
from tests.cluster.kubectl import Kubectl
from tests.operator_process import operator_process
from tests.ports import free_port

RELEASE = "chart"
TRACKER = "cars"


@dataclass
class Installed:
    """The release, its operator's process and its Redis."""

    kubectl: Kubectl
    namespace: str
    """Of the release."""
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest:
        return self.kubectl.get("--namespace", namespace or self.namespace, kind, name)

    def is_there(self, kind: str, name: str, namespace: str | None = None) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return self.kubectl.run("--namespace", namespace or self.namespace, "get", kind, name).returncode == 0

    def status(self, namespace: str | None = None) -> Manifest:
        status: Manifest = self.get("s2t", "cars", namespace).get("status", {})
        return status

    def condition(self, kind: str, namespace: str | None = None) -> str:
        conditions = self.status(namespace).get("conditions", [])
        return next((str(each["status"]) for each in conditions if each["type"] == kind), "absent")

    def probe(self, path: str) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return int(answer.status)


@contextmanager
def chart_redis(kubectl: Kubectl, namespace: str, folder: Path) -> Iterator[RedisPod]:
    """The release's Redis."""
    config = kubectl.get("configmap", f"{RELEASE}-redis", "--namespace", namespace)
    secret = kubectl.get("secret", f"{RELEASE}-redis", "--namespace", namespace)
    folder.mkdir()
    pod = pod_of(config, folder)
    assert pod.initialize(base64.b64decode(secret["data"]["password"]).decode()).returncode == 0
    pod.start()
    try:
        yield pod
    finally:
        pod.stop()


@contextmanager
def running(kubectl: Kubectl, namespace: str, folder: Path) -> Iterator[Installed]:
    """The release's operator and its Redis."""
    with (
        chart_redis(kubectl, namespace, folder / "redis") as redis,
        operating(kubectl, namespace, redis, folder) as operator,
    ):
        yield operator


@contextmanager
def operating(kubectl: Kubectl, namespace: str, redis: RedisPod, folder: Path) -> Iterator[Installed]:
    """The release's operator, as its Deployment says and with the rights of its account."""
    port = free_port()
    deployment = kubectl.get("deployment", f"{RELEASE}-operator", "--namespace", namespace)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    deployed = {each["name"].removeprefix(PREFIX): each.get("value", "") for each in container["env"]}
    here = {
        # What a kubelet and the cluster's DNS would make of them.
        "INSTANCE": f"{RELEASE}-operator-0",
        "NAMESPACE": namespace,
        "REDIS_URL": f"redis://admin@127.0.0.1:{redis.port}/0",
        "REDIS_PASSWORD_FILE": str(redis.folder / "password"),
        "HTTP_PORT": str(port),
        "INTERVAL_SECONDS": "15",
        "AGENT_INTERVAL_SECONDS": "5",
    }
    log = folder / "operator.log"
    account = {"KUBECONFIG": str(_kubeconfig(kubectl, namespace, folder))}
    try:
        with operator_process({**deployed, **here}, log, environment=account) as process:
            yield Installed(kubectl, namespace, port, process, log)
    finally:
        sys.stderr.write(log.read_text())


def secret(token: str, namespace: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cvat-agent", "namespace": namespace},
        "stringData": {"token": token},
    }


def certificates(namespace: str) -> Manifest:
    authority = Authority.create("company", datetime.now(UTC))  # noqa: TID251 - certificates expire
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "company-ca", "namespace": namespace},
        "data": {"ca.crt": authority.pair.certificate.decode()},
    }


def tracker(url: str, namespace: str, name: str = TRACKER) -> Manifest:
    return {
        "apiVersion": "sam2.dev/v1alpha1",
        "kind": "SAM2Tracker",
        "metadata": {"name": name, "namespace": namespace},
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


def _kubeconfig(kubectl: Kubectl, namespace: str, folder: Path) -> Path:
    token = kubectl("create", "token", f"{RELEASE}-operator", "--namespace", namespace).strip()
    content = yaml.safe_load(kubectl.kubeconfig.read_text())
    content["users"] = [{"name": each["name"], "user": {"token": token}} for each in content["users"]]
    path = folder / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path
