"""Builders of what the operator's decisions take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sam2_operator.api.tracker import Tracker
from sam2_operator.core.observed import Function, Manifest, Pod, Workload
from sam2_operator.core.placement import Defaults

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
UID = "0f0e0d0c-0b0a-0908-0706-050403020100"
DEFAULTS = Defaults("sam2-tracker-agent:0.1.0")


def tracker(status: dict[str, Any] | None = None, **spec: Any) -> Tracker:
    """A tracker named cars, with parts of its spec laid over the usual ones."""
    usual: dict[str, Any] = {
        "cvat": {"url": "https://cvat.example", "credentialsSecretRef": {"name": "cvat"}},
        "model": {"id": "facebook/sam2.1-hiera-tiny"},
    }
    for part, value in spec.items():
        usual[part] = {**usual.get(part, {}), **value} if isinstance(value, dict) else value
    metadata = {"name": "cars", "namespace": "lab", "uid": UID, "resourceVersion": "1", "generation": 1}
    return Tracker.model_validate({"metadata": metadata, "spec": usual, "status": status or {}})


def function(function_id: int, **changes: Any) -> Function:
    """A function such as the tracker cars registers."""
    usual = {
        "name": "cars",
        "kind": "tracker",
        "provider": "native",
        "visibility": "private",
        "shape_types": ("mask", "polygon"),
        "owner_id": 1,
    }
    return Function(id=function_id, **{**usual, **changes})


def pod(**changes: Any) -> Pod:
    """A pod that runs and is ready."""
    usual = {
        "name": "cars-agent-0",
        "uid": "pod-1",
        "phase": "Running",
        "ready": True,
        "revision": "cars-agent-new",
        "node": "node-1",
        "ip": "10.0.0.1",
        "running": True,
    }
    return Pod(**{**usual, **changes})


def workload(agent: Pod | None, *, observed: int = 2, **changes: Any) -> Workload:
    """A StatefulSet of generation 2 whose newest revision is cars-agent-new, with a pod."""
    live: Manifest = {
        "kind": "StatefulSet",
        "metadata": {"name": "cars-agent", "generation": 2, "uid": "sts", "ownerReferences": [{"uid": UID}]},
        "status": {"observedGeneration": observed, "updateRevision": "cars-agent-new"},
    }
    return Workload(**{"stateful_set": live, "pod": agent, "report": None, **changes})
