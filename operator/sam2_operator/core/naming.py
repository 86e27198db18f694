"""Names: the same tracker always finds the same objects, in Kubernetes, in Redis and in CVAT."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker

FIELD_MANAGER = "sam2-tracker-operator"
NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
AGENT_APP = "sam2-agent"


def agent_name(tracker_name: str) -> str:
    """Name of the StatefulSet, ServiceAccount and NetworkPolicy."""
    return f"{tracker_name}-agent"


def pod_name(tracker_name: str) -> str:
    """Name of the one pod."""
    return f"{agent_name(tracker_name)}-0"


def state_secret_name(tracker_name: str) -> str:
    """Name of the Secret with the URL of Redis."""
    return f"{tracker_name}-state"


def cache_claim_name(tracker_name: str) -> str:
    """Name of the PersistentVolumeClaim for downloaded weights."""
    return f"{tracker_name}-cache"


def door_name(tracker_name: str) -> str:
    """Name of the Service of a serverless tracker; one must begin with a letter, and a tracker's need not."""
    return f"door-{tracker_name}"


def door_secret_name(tracker_name: str) -> str:
    """Name of the Secret with what the gateway shows at the agent's door."""
    return f"{tracker_name}-door"


def gateway_function(namespace: str, tracker_name: str) -> str:
    """The name by which CVAT calls a serverless tracker.

    Neither part has a dot, so that no two trackers share it; and no function of Nuclio has one.
    """
    return f"{namespace}.{tracker_name}"


def selector(tracker_name: str) -> dict[str, str]:
    """Labels that select the tracker's pod; a StatefulSet can never change them."""
    return {NAME_LABEL: AGENT_APP, INSTANCE_LABEL: tracker_name}


def labels(tracker_name: str) -> dict[str, str]:
    """Labels of everything that the operator makes for a tracker."""
    return {**selector(tracker_name), MANAGED_BY_LABEL: FIELD_MANAGER}


def key_prefix(uid: str) -> str:
    """Beginning of every Redis key of the tracker; the braces are Redis Cluster's hash tag."""
    return f"s2t:{{{uid}}}:"


def state_user(uid: str) -> str:
    """The tracker's Redis user."""
    return f"s2t-{uid}"


def agent_id(uid: str, function_id: int) -> str:
    """The agent's id towards CVAT: what one agent acquired, its successor owns."""
    return f"s2t_{uid.replace('-', '')}_{function_id}"


def function_name(tracker: Tracker) -> str:
    """The function's name in CVAT."""
    return tracker.spec.function.name or tracker.metadata.name


def model_title(tracker: Tracker) -> str:
    """The model as `kubectl get` shows it."""
    model = tracker.spec.model
    if model.id is not None:
        return f"{model.id}@{model.revision}" if model.revision else model.id
    return model.checkpoint or ""
