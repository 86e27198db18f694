"""What the demo puts into a cluster: the chart, CVAT's stand-in, the model on a volume, and a tracker."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import binaries
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.places import REPOSITORY
from tests.demo.diagnosis import diagnose
from tests.demo.errors import DemoError
from tests.demo.images import Images
from tests.tiny_sam2 import CONFIG, WEIGHTS

SYSTEM = "sam2-tracker-system"
"""Namespace of the operator and Redis."""
NAMESPACE = "sam2-demo"
"""Namespace of the tracker, its agent and CVAT's stand-in."""
RELEASE = "sam2-tracker"
TRACKER = "sam2"
ORGANIZATION = "demo"
"""Of CVAT: the annotator's tasks and the tracker's function belong to it."""
CVAT = "cvat"
CVAT_PORT = 8080
CVAT_URL = f"http://{CVAT}.{NAMESPACE}.svc:{CVAT_PORT}"

_CRD = "sam2trackers.sam2.dev"
_CHART = REPOSITORY / "charts" / "sam2-tracker-operator"
_EXAMPLES = REPOSITORY / "examples"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of CVAT."""

    username: str
    password: str


def make_namespace(kubectl: Kubectl, name: str, *, pod_security: str = "restricted") -> None:
    """Make a namespace in which pods are held to that Pod Security Standard; harmless when it is there."""
    labels = {"pod-security.kubernetes.io/enforce": pod_security}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def install_chart(kubectl: Kubectl, images: Images, *values: str) -> None:
    """Install or upgrade the release with these options of Helm, and wait until all of it is ready."""
    make_namespace(kubectl, SYSTEM)
    try:
        helm(
            kubectl, "upgrade", "--install", RELEASE, str(_CHART), "--namespace", SYSTEM,
            "--wait", "--timeout=5m", *images.chart_values(), *values,
        )  # fmt: skip
    except ClusterError as error:
        raise DemoError(
            f"the chart could not be installed: {error}\n{diagnose(kubectl, SYSTEM)}",
            advice=f"see above; then: helm status {RELEASE} --namespace {SYSTEM}",
        ) from error


def helm(kubectl: Kubectl, *arguments: str) -> str:
    """Run helm on the cluster. Raises `ClusterError` with what it said."""
    binaries.ensure(("helm",))
    return run([str(binaries.program("helm")), "--kubeconfig", str(kubectl.kubeconfig), *arguments])


def start_standin(kubectl: Kubectl, images: Images) -> None:
    """Run CVAT's stand-in as a pod with a Service, and wait until it answers."""
    labels = {"app.kubernetes.io/name": CVAT}
    container = {
        "name": CVAT,
        "image": images.standin,
        "imagePullPolicy": "IfNotPresent",
        "args": ["--host", "0.0.0.0", "--port", str(CVAT_PORT)],  # noqa: S104 - inside its pod
        "ports": [{"name": "http", "containerPort": CVAT_PORT}],
        "readinessProbe": {"httpGet": {"path": "/_standin/health", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": CVAT, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": CVAT, "namespace": NAMESPACE},
            "spec": {"selector": labels, "ports": [{"port": CVAT_PORT, "targetPort": "http"}]},
        },
    )
    wait_for(kubectl, f"pod/{CVAT}", seconds=120)


def put_model(kubectl: Kubectl, images: Images, *, storage_class: str | None = None) -> None:
    """Make the claim and put the small model on it, as `examples/models-volume.yaml` tells users to.

    A class that is named is taken to be one whose volumes all nodes reach.
    """
    documents = list(yaml.safe_load_all((_EXAMPLES / "models-volume.yaml").read_text()))
    if storage_class is not None:
        (claim,) = (each for each in documents if each["kind"] == "PersistentVolumeClaim")
        claim["spec"] |= {"storageClassName": storage_class, "accessModes": ["ReadWriteMany"]}
    (pod,) = (each for each in documents if each["kind"] == "Pod")
    (container,) = pod["spec"]["containers"]
    container["image"] = images.standin  # one that every cluster of the demo has
    container["imagePullPolicy"] = "IfNotPresent"
    name = pod["metadata"]["name"]
    for each in documents:
        each["metadata"]["namespace"] = NAMESPACE
    kubectl.apply(*documents)
    wait_for(kubectl, f"pod/{name}", seconds=120)
    (mount,) = container["volumeMounts"]
    for path in (CONFIG, WEIGHTS):
        _copy(kubectl, path, name, f"{mount['mountPath']}/{path.name}")
    kubectl("--namespace", NAMESPACE, "delete", "pod", name, "--grace-period=1")


def _copy(kubectl: Kubectl, path: Path, pod: str, target: str) -> None:
    """Copy a file through the pod's shell: unlike `kubectl cp`, this needs no tar in the image."""
    kubectl(
        "--namespace", NAMESPACE, "exec", "--stdin", pod, "--", "sh", "-c", f"base64 -d > {target}",
        stdin=base64.b64encode(path.read_bytes()).decode(),
    )  # fmt: skip


def apply_credentials(kubectl: Kubectl, name: str, account: Account) -> None:
    """The Secret of that name, with the account that the agent uses."""
    data = {"username": account.username, "password": account.password}
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": data,
        }
    )


def tracker(name: str = TRACKER, **spec: Any) -> dict[str, Any]:
    """The tracker of `examples/tracker-offline.yaml` for the stand-in; `spec` replaces parts of its spec."""
    manifest: dict[str, Any] = yaml.safe_load((_EXAMPLES / "tracker-offline.yaml").read_text())
    manifest["metadata"] = {"name": name, "namespace": NAMESPACE}
    manifest["spec"]["cvat"] |= {"url": CVAT_URL, "organization": ORGANIZATION}
    manifest["spec"] |= spec
    return manifest


def credentials_name(manifest: dict[str, Any]) -> str:
    """The name of the Secret that a tracker asks for."""
    return str(manifest["spec"]["cvat"]["credentialsSecretRef"]["name"])


def apply_tracker(kubectl: Kubectl, manifest: dict[str, Any]) -> None:
    """What a user does: plain `kubectl apply -f`."""
    kubectl("apply", "-f", "-", stdin=json.dumps(manifest))


def wait_for(kubectl: Kubectl, what: str, *, seconds: int, condition: str = "Ready") -> None:
    """`kubectl wait`; with what the cluster says about it where it does not come true."""
    answer = kubectl.run(
        "--namespace", NAMESPACE, "wait", f"--for=condition={condition}", what, f"--timeout={seconds}s"
    )
    if answer.returncode:
        raise DemoError(
            f"{what} is not {condition} after {seconds} s: {answer.stderr.strip()}\n"
            f"{diagnose(kubectl, NAMESPACE, what)}\n{diagnose(kubectl, SYSTEM)}",
            advice="the conditions and logs above name the cause",
        )


def function_id(kubectl: Kubectl, name: str = TRACKER) -> int:
    """The id of the tracker's function in CVAT."""
    return int(kubectl.get("--namespace", NAMESPACE, "sam2tracker", name)["status"]["functionID"])


def agent_pod(kubectl: Kubectl, name: str = TRACKER) -> dict[str, Any]:
    """The pod of the tracker's agent."""
    return kubectl.get("--namespace", NAMESPACE, "pod", pod_name(name))


def pod_name(name: str = TRACKER) -> str:
    """How the pod of the tracker's agent is named."""
    return f"{name}-agent-0"


def has_crd(kubectl: Kubectl) -> bool:
    """Whether the cluster knows trackers."""
    return kubectl.run("get", "crd", _CRD).returncode == 0


def require_no_trackers(kubectl: Kubectl) -> None:
    """Raise `DemoError` when the cluster serves trackers already: two operators would fight over them."""
    if not has_crd(kubectl):
        return
    if names := kubectl("get", "sam2trackers", "--all-namespaces", "--no-headers").split("\n")[:-1]:
        raise DemoError(
            f"the cluster has {len(names)} SAM2Trackers of its own, such as {names[0].split()[1]}",
            advice="choose a cluster without: the demo installs an operator of its own, and removes it again",
        )


def is_present(kubectl: Kubectl) -> bool:
    """Whether something of an earlier demo is still there."""
    return bool(kubectl("get", "namespace", NAMESPACE, SYSTEM, "--ignore-not-found", "-o", "name"))


def remove(kubectl: Kubectl, *, crd: bool) -> None:
    """Take everything out again: the tracker, the release, the namespaces, and if asked to the CRD."""
    if has_crd(kubectl):
        kubectl("delete", "sam2trackers", "--all", "--namespace", NAMESPACE, "--timeout=120s")
    helm(kubectl, "uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait")
    kubectl("delete", "namespace", NAMESPACE, SYSTEM, "--ignore-not-found", "--timeout=180s")
    if crd:
        kubectl("delete", "crd", _CRD, "--ignore-not-found")
