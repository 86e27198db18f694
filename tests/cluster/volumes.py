"""Volumes for the cluster's users: made beforehand, since nothing here makes them when they are asked for.

Those of the default class are folders of one node, to which they bind their pods. Those of the class `shared`
are there on every node, as a file server's would be.
"""

import shutil
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.node import Node

LOCAL, SHARED = "local", "shared"
_LOCAL_VOLUMES, _SHARED_VOLUMES = 16, 8


def make_local(kubectl: Kubectl, node: Node) -> None:
    """Make the node's volumes, and make anew, empty, those whose claim was deleted."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    wanted = {}
    for index in range(_LOCAL_VOLUMES):
        folder = node.folder / "volumes" / f"{index:02}"
        # Of type local: the kubelet gives it to the pod's fsGroup.
        source = {
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        }
        wanted[folder] = _volume(f"{node.name}-{index:02}", LOCAL, source)
    kubectl.apply(_storage_class(LOCAL, default=True))
    _make(kubectl, wanted)


def make_shared(kubectl: Kubectl, folder: Path) -> None:
    """Make the volumes that all nodes reach, in that folder; those whose claim was deleted anew, empty."""
    wanted = {}
    for index in range(_SHARED_VOLUMES):
        path = folder / f"{index:02}"
        wanted[path] = _volume(f"{SHARED}-{index:02}", SHARED, {"hostPath": {"path": str(path)}})
    kubectl.apply(_storage_class(SHARED, default=False))
    _make(kubectl, wanted)


def _make(kubectl: Kubectl, wanted: dict[Path, dict[str, Any]]) -> None:
    listed = kubectl.get("persistentvolumes")["items"]
    phases = {each["metadata"]["name"]: each["status"].get("phase") for each in listed}
    names = {path: each["metadata"]["name"] for path, each in wanted.items()}
    if released := [name for name in names.values() if phases.get(name) == "Released"]:
        kubectl("delete", "persistentvolume", *released)
    missing = [path for path, name in names.items() if name in released or name not in phases]
    for path in missing:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        path.chmod(0o777)  # for pods of any user
    if missing:
        kubectl.apply(*(wanted[path] for path in missing))


def _storage_class(name: str, *, default: bool) -> dict[str, Any]:
    """Volumes that were made beforehand, chosen once a pod is placed."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true" if default else "false"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }


def _volume(name: str, storage_class: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "50Gi"},
            "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            **source,
        },
    }
