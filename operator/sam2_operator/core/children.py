"""The small objects beside the StatefulSet."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sam2_operator.core import naming
from sam2_operator.core.environment import PORT
from sam2_operator.core.ownership import owned

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.observed import Manifest


def service_account(tracker: Tracker) -> Manifest:
    """Give the agent's ServiceAccount; it has no rights and its token is not mounted."""
    identity = owned(tracker, "v1", "ServiceAccount", naming.agent_name(tracker.metadata.name))
    return {**identity, "automountServiceAccountToken": False}


def network_policy(tracker: Tracker) -> Manifest:
    """Give the NetworkPolicy: only the port of status and metrics can be reached.

    Where CVAT, Redis and the hub are is known by name, not by address, so egress stays open.
    """
    identity = owned(
        tracker, "networking.k8s.io/v1", "NetworkPolicy", naming.agent_name(tracker.metadata.name)
    )
    return {
        **identity,
        "spec": {
            "podSelector": {"matchLabels": naming.selector(tracker.metadata.name)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": [{"port": PORT, "protocol": "TCP"}]}],
        },
    }


def state_secret(tracker: Tracker, url: str) -> Manifest:
    """Give the Secret with the URL of the tracker's own user of Redis."""
    identity = owned(tracker, "v1", "Secret", naming.state_secret_name(tracker.metadata.name))
    return {**identity, "type": "Opaque", "data": {"url": base64.b64encode(url.encode()).decode()}}


def cache_claim(tracker: Tracker) -> Manifest | None:
    """Give the PersistentVolumeClaim for weights, if the tracker asks for one."""
    cache = tracker.spec.model.cache
    template = cache.volume_claim_template if cache is not None else None
    if template is None:
        return None
    identity = owned(tracker, "v1", "PersistentVolumeClaim", naming.cache_claim_name(tracker.metadata.name))
    spec: Manifest = {
        "accessModes": [template.access_mode],
        "resources": {"requests": {"storage": template.size}},
    }
    if template.storage_class_name is not None:
        spec["storageClassName"] = template.storage_class_name
    return {**identity, "spec": spec}
