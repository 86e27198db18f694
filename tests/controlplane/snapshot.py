"""What the operator made for a tracker, so that two trackers can be compared.

Left out is what Kubernetes writes into every object, and what differs between two trackers of the same spec:
the tracker's uid (and what is derived from it), the function's id, the namespace.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from sam2_operator.core.naming import FIELD_MANAGER, MANAGED_BY_LABEL

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi

KINDS = {
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "PersistentVolumeClaim": "/api/v1/namespaces/{}/persistentvolumeclaims",
}
_OURS = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
_ADDRESSES = ("clusterIP", "clusterIPs")
_METADATA = ("name", "labels", "annotations", "ownerReferences", "finalizers")
_DERIVED = (
    (re.compile(r'("sam2\.dev/(?:applied|restart)": ")[0-9a-f]+'), r"\1<digest>"),
    (re.compile(r"(s2t-<uid>:)[0-9a-f]{64}@"), r"\1<password>@"),
    (re.compile(r'("SAM2_AGENT_FUNCTION_ID", "value": ")\d+'), r"\1<function>"),
    (re.compile(r'("token": ")[0-9a-f]{64}'), r"\1<token>"),
    (re.compile(r"(s2t_<uid>_)\d+"), r"\1<function>"),
)


def children(api: KubeApi, namespace: str, uid: str) -> dict[str, Any]:
    """Give the operator's objects of a namespace by kind and name."""
    found = {
        f"{kind}/{live['metadata']['name']}": _told(live)
        for kind, path in KINDS.items()
        for live in api.pages(path.format(namespace), labelSelector=_OURS)
    }
    text = json.dumps(found, sort_keys=True)
    for part, name in ((uid, "<uid>"), (uid.replace("-", ""), "<uid>"), (namespace, "<namespace>")):
        text = text.replace(part, name)
    for pattern, replacement in _DERIVED:
        text = pattern.sub(replacement, text)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Give the paths at which two snapshots differ, with what is there."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted({*expected, *found})
            for line in differences(expected.get(key), found.get(key), f"{path}/{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            line
            for index, (one, other) in enumerate(zip(expected, found, strict=True))
            for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if expected == found else [f"{path}: {found!r} instead of {expected!r}"]


def _told(live: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in live.items() if key not in {"metadata", "status", "data"}}
    data = {key: base64.b64decode(value).decode() for key, value in (live.get("data") or {}).items()}
    if live.get("spec", {}).get("accessModes"):
        # Of a claim, its volume's name and state are not the operator's.
        kept["spec"] = {key: value for key, value in live["spec"].items() if key != "volumeName"}
    if live.get("spec", {}).get("clusterIP"):
        kept["spec"] = {key: value for key, value in live["spec"].items() if key not in _ADDRESSES}
    metadata = {key: live["metadata"][key] for key in _METADATA if live["metadata"].get(key)}
    if "annotations" in metadata:
        metadata["annotations"] = {
            key: value
            for key, value in metadata["annotations"].items()
            if not key.startswith("pv.kubernetes.io/")
        }
    return {**kept, "data": data, "metadata": metadata}
