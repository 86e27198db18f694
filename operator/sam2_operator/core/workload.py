"""The StatefulSet with the agent's one pod.

One replica of a StatefulSet is the first of three things that keep the agent single (the lease in Redis and
answers that are written once are the others): Kubernetes starts the next pod only when the last is known to
be dead. `podManagementPolicy: Parallel` cannot be changed later, and without it a pod that never became ready
would never be replaced by one of a corrected template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sam2_operator.core import environment, naming
from sam2_operator.core.ownership import has_our_labels, owned

if TYPE_CHECKING:
    from sam2_operator.api.base import ApiModel
    from sam2_operator.api.scheduling import Affinity, Toleration
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest, Workload
    from sam2_operator.core.placement import Defaults

RESTART_ANNOTATION = "sam2.dev/restart"
"""On the pod: a digest of what the agent reads only when it starts. Another digest is another pod."""

USER = 65532
GRACE_SECONDS = 30
NODE_LOSS_TOLERATION_SECONDS = 30
_LOST_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_HTTP = "http"


def stateful_set(
    tracker: Tracker, function_id: int | None, defaults: Defaults, restart_digest: str
) -> Manifest:
    """Give the StatefulSet of a tracker whose function is registered; None for a serverless one."""
    name = tracker.metadata.name
    spec = {
        "replicas": 0 if tracker.spec.suspend else 1,
        "podManagementPolicy": "Parallel",
        "revisionHistoryLimit": 3,
        "serviceName": naming.agent_name(name),
        "selector": {"matchLabels": naming.selector(name)},
        "updateStrategy": {"type": "RollingUpdate"},
        "template": {
            "metadata": {
                "labels": {**(tracker.spec.agent.pod_labels or {}), **naming.labels(name)},
                "annotations": {
                    **(tracker.spec.agent.pod_annotations or {}),
                    "kubectl.kubernetes.io/default-container": "agent",
                    RESTART_ANNOTATION: restart_digest,
                },
            },
            "spec": _pod(tracker, function_id, defaults),
        },
    }
    return {**owned(tracker, "apps/v1", "StatefulSet", naming.agent_name(name)), "spec": spec}


def restart_digest(stateful_set: Manifest | None) -> str:
    """Give the digest that the pod has now: while a Secret cannot be read, nothing is restarted."""
    if stateful_set is None:
        return ""
    annotations = stateful_set["spec"]["template"]["metadata"].get("annotations", {})
    return str(annotations.get(RESTART_ANNOTATION, ""))


def serves(workload: Workload, function_id: int | None) -> bool:
    """Whether the newest template is for this function: the API server may refuse to change it."""
    if workload.stateful_set is None:
        return False
    (container,) = workload.stateful_set["spec"]["template"]["spec"]["containers"][:1]
    setting = {"name": f"{environment.PREFIX}FUNCTION_ID", "value": str(function_id)}
    return setting in container.get("env", [])


def is_orphan(tracker: Tracker, stateful_set: Manifest) -> bool:
    """Whether a StatefulSet that belongs to nobody was made for this very tracker.

    Kubernetes takes the owners away where a deletion is to leave orphans. What stays are our labels, and the
    agent's keys in Redis, which carry the tracker's uid.
    """
    metadata = stateful_set["metadata"]
    if any(each.get("controller") for each in metadata.get("ownerReferences", [])):
        return False
    keys = {
        "name": f"{environment.PREFIX}KEY_PREFIX",
        "value": naming.key_prefix(tracker.metadata.uid),
    }
    containers = stateful_set["spec"]["template"]["spec"]["containers"]
    return has_our_labels(tracker, stateful_set) and any(keys in each.get("env", []) for each in containers)


def _pod(tracker: Tracker, function_id: int | None, defaults: Defaults) -> Manifest:
    agent = tracker.spec.agent
    volumes, mounts = environment.volumes(tracker)
    pull_secrets = [secret.name for secret in agent.image_pull_secrets or ()] or list(
        defaults.image_pull_secrets
    )
    optional: dict[str, Any] = {
        "imagePullSecrets": [{"name": secret} for secret in pull_secrets],
        "nodeSelector": agent.node_selector,
        "tolerations": _tolerations(agent.tolerations or [], replace=agent.on_node_loss == "Replace"),
        "affinity": _affinity(agent.affinity),
        "runtimeClassName": agent.runtime_class_name,
        "priorityClassName": agent.priority_class_name,
        "resourceClaims": [_plain(claim) for claim in agent.resource_claims or ()],
    }
    return {
        "serviceAccountName": naming.agent_name(tracker.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **{field: value for field, value in optional.items() if value},
        "containers": [_container(tracker, function_id, defaults, mounts)],
        "volumes": volumes,
    }


def _container(
    tracker: Tracker, function_id: int | None, defaults: Defaults, mounts: list[Manifest]
) -> Manifest:
    agent = tracker.spec.agent
    image = agent.image or defaults.image
    default_policy = None if agent.image else defaults.image_pull_policy
    return {
        "name": "agent",
        "image": image,
        "imagePullPolicy": agent.image_pull_policy or default_policy or _usual_pull_policy(image),
        "env": environment.environment(tracker, function_id),
        "ports": _ports(tracker),
        # Downloading and loading a model takes minutes, an hour on a slow line; after that, liveness decides.
        "startupProbe": _probe("/startupz", period=5, failures=720),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=5, failures=2),
        "resources": _resources(tracker),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
    }


def _ports(tracker: Tracker) -> list[Manifest]:
    ports = [{"name": _HTTP, "containerPort": environment.PORT, "protocol": "TCP"}]
    if tracker.is_serverless:
        ports.append({"name": "door", "containerPort": environment.DOOR_PORT, "protocol": "TCP"})
    return ports


def _usual_pull_policy(image: str) -> str:
    """Give what Kubernetes fills in: for the first image only, so that it would stay when the image changes.

    A tag decides, with or without a digest; an image with neither has the tag latest.
    """
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2] or ("" if digest else "latest")
    return "Always" if tag == "latest" else "IfNotPresent"


def _affinity(affinity: Affinity | None) -> Manifest:
    """Give the affinity without empty parts: what the API server makes of them depends on what was before."""
    parts = _plain(affinity) if affinity is not None else {}
    return {name: part for name, part in parts.items() if part}


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": _HTTP},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _resources(tracker: Tracker) -> Manifest:
    resources = tracker.spec.agent.resources
    if resources is not None:
        return _plain(resources)
    return {"limits": {"nvidia.com/gpu": 1}} if tracker.spec.model.device.startswith("cuda") else {}


def _tolerations(given: list[Toleration], *, replace: bool) -> list[Manifest]:
    """Let a pod with `onNodeLoss: Replace` leave a lost node soon; Kubernetes' default is five minutes."""
    tolerations = [_plain(toleration) for toleration in given]
    covered = {toleration.key for toleration in given}
    if replace:
        tolerations += [
            {
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": NODE_LOSS_TOLERATION_SECONDS,
            }
            for taint in _LOST_NODE_TAINTS
            if taint not in covered
        ]
    return tolerations


def _plain(part: ApiModel) -> Manifest:
    return part.model_dump(by_alias=True, exclude_none=True)
