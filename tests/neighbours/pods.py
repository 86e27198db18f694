"""Trackers that use much or little, and the pods that the operator writes for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sam2_operator.core.workload import stateful_set
from tests.unit.operator.build import DEFAULTS, tracker

if TYPE_CHECKING:
    from pathlib import Path

SPECS: dict[str, dict[str, Any]] = {
    "least": {},
    "all": {
        "cvat": {
            "organization": "lab",
            "caBundle": {"configMapKeyRef": {"name": "ca", "key": "bundle.pem"}},
            "proxyUrl": "http://proxy.lab:3128",
        },
        "function": {"shapeTypes": ["mask", "polygon"]},
        "model": {
            "revision": "main",
            "tokenSecretRef": {"name": "hub"},
            "cache": {"volumeClaimTemplate": {"size": "10Gi"}},
            "precision": "bfloat16",
        },
        "state": {
            "secretRef": {"name": "redis", "key": "address"},
            "caBundle": {"secretKeyRef": {"name": "ca", "key": "redis.pem"}},
            "ttl": "1h30m",
            "memoryTTL": "5m",
        },
    },
    "a redis by value": {"state": {"url": "redis://redis.lab:6379/1"}, "model": {"device": "cpu"}},
    "a model on a volume": {
        "model": {
            "id": None,
            "volume": {"claimName": "weights"},
            "config": "sam2/custom.yaml",
            "checkpoint": "sam2/custom.pt",
        }
    },
}


def template(spec: dict[str, Any]) -> dict[str, Any]:
    """The pod template of a tracker."""
    written: dict[str, Any] = stateful_set(tracker(**spec), 7, DEFAULTS, "digest")["spec"]["template"]
    return written


def variables(written: dict[str, Any]) -> dict[str, str]:
    """The agent's settings in a pod template; what a pod itself gives is its uid."""
    (container,) = written["spec"]["containers"]
    return {
        each["name"]: each.get("value", "pod-uid")
        for each in container["env"]
        if each["name"].startswith("SAM2_AGENT_")
    }


def environment(root: Path, written: dict[str, Any]) -> dict[str, str]:
    """Do with a template's variables and volumes what a kubelet does, below a folder."""
    (container,) = written["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in written["spec"]["volumes"]}
    mounts = sorted((mount["mountPath"], mount["name"]) for mount in container["volumeMounts"])
    for path, name in mounts:
        folder = root / path.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        source = volumes[name].get("secret") or volumes[name].get("configMap") or {}
        for item in source.get("items", []):
            (folder / item["path"]).write_text("redis://redis/0")
    found = {}
    for variable in container["env"]:
        value = variable.get("value", "pod-uid")
        inside = any(value == path or value.startswith(f"{path}/") for path, _ in mounts)
        found[variable["name"]] = f"{root}{value}" if inside else value
    return found
