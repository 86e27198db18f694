"""What the other end-to-end tests build on: pods, DNS, Services, exec, logs, GPUs and volumes."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.kubectl import Kubectl
from tests.cluster.targets import Target
from tests.cluster.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

REDIS = "sam2-tracker-redis"
PORT = 6379
ANSWER = f"redis-cli -h redis -p {PORT} ping"


@pytest.fixture(scope="module")
def namespace(cluster: Target) -> Iterator[str]:
    cluster.load([REDIS])
    name = f"cluster-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--timeout=60s")


@pytest.fixture(scope="module")
def redis(cluster: Target, namespace: str) -> str:
    """A pod that serves Redis on a volume of its own, and a Service of that name."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "redis", "namespace": namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "redis", "namespace": namespace},
        "spec": {"selector": {"app": "redis"}, "ports": [{"port": PORT}]},
    }
    command = ["redis-server", "--protected-mode", "no", "--appendonly", "yes"]
    workload = pod("redis", namespace, command)
    workload["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "redis"}}]
    workload["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    cluster.kubectl.apply(claim, service, workload)
    wait_for_ready(cluster.kubectl, namespace, "redis")
    return "redis"


def test_a_service_is_found_by_its_name_and_answers(cluster: Target, namespace: str, redis: str) -> None:
    cluster.kubectl.apply(pod("client", namespace, ["sleep", "infinity"]))
    wait_for_ready(cluster.kubectl, namespace, "client")

    def answers() -> bool:
        answer = cluster.kubectl.run("exec", "-n", namespace, "client", "--", *ANSWER.split())
        return answer.stdout.strip() == "PONG"

    assert wait_until(answers, 30, every=0.5)


def test_logs_are_read(cluster: Target, namespace: str, redis: str) -> None:
    assert "Ready to accept connections" in cluster.kubectl("logs", "-n", namespace, redis)


def test_a_pod_that_is_not_root_writes_to_its_volume(cluster: Target, namespace: str, redis: str) -> None:
    assert "appendonlydir" in cluster.kubectl("exec", "-n", namespace, redis, "--", "ls", "/data")


def test_gpus_are_handed_out_and_counted(cluster: Target, namespace: str) -> None:
    nodes = cluster.kubectl.get("nodes")["items"]
    free = sum(int(node["status"]["allocatable"].get("nvidia.com/gpu", 0)) for node in nodes)
    too_many = pod("too-many", namespace, ["sleep", "infinity"], gpus=free + 1)
    cluster.kubectl.apply(pod("one", namespace, ["sleep", "infinity"], gpus=1), too_many)
    wait_for_ready(cluster.kubectl, namespace, "one")

    def refusal() -> str:
        conditions = cluster.kubectl.get("pod", "-n", namespace, "too-many")["status"].get("conditions", [])
        return " ".join(each.get("message", "") for each in conditions if each["type"] == "PodScheduled")

    assert wait_until(lambda: "Insufficient nvidia.com/gpu" in refusal(), 30)


def pod(name: str, namespace: str, command: list[str], *, gpus: int = 0) -> dict[str, Any]:
    """A pod of the Redis image as the restricted Pod Security Standard asks for it."""
    container = {
        "name": "main",
        "image": f"{REDIS}:{images.version()}",
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


def wait_for_ready(kubectl: Kubectl, namespace: str, name: str) -> None:
    answer = kubectl.run("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=90s")
    assert answer.returncode == 0, json.dumps(kubectl.get("pod", "-n", namespace, name)["status"], indent=1)
