"""The small objects beside the StatefulSet."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from sam2_operator.core import naming
from sam2_operator.core.environment import DOOR_PORT, PORT
from sam2_operator.core.ownership import owned

if TYPE_CHECKING:
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.gateway import Gateway
    from sam2_operator.core.observed import Manifest


def service_account(tracker: Tracker) -> Manifest:
    """Give the agent's ServiceAccount; it has no rights and its token is not mounted."""
    identity = owned(tracker, "v1", "ServiceAccount", naming.agent_name(tracker.metadata.name))
    return {**identity, "automountServiceAccountToken": False}


def network_policy(tracker: Tracker, gateway: Gateway | None = None) -> Manifest:
    """Give the NetworkPolicy: only the port of status and metrics can be reached; the door by the gateway.

    Where CVAT, Redis and the hub are is known by name, not by address, so egress stays open.
    """
    identity = owned(
        tracker, "networking.k8s.io/v1", "NetworkPolicy", naming.agent_name(tracker.metadata.name)
    )
    ingress: list[Manifest] = [{"ports": [{"port": PORT, "protocol": "TCP"}]}]
    if tracker.is_serverless and gateway is not None:
        ingress.append({"ports": [{"port": DOOR_PORT, "protocol": "TCP"}], "from": [_pods_of(gateway)]})
    return {
        **identity,
        "spec": {
            "podSelector": {"matchLabels": naming.selector(tracker.metadata.name)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def state_secret(tracker: Tracker, url: str) -> Manifest:
    """Give the Secret with the URL of the tracker's own user of Redis."""
    return _secret(tracker, naming.state_secret_name(tracker.metadata.name), "url", url)


def door_secret(tracker: Tracker, token: str) -> Manifest:
    """Give the Secret with what a caller must show at the door of a serverless tracker's agent."""
    return _secret(tracker, naming.door_secret_name(tracker.metadata.name), "token", token)


def door_service(tracker: Tracker) -> Manifest:
    """Give the Service at which the gateway finds the agent, whichever pod that is.

    Also one that is not ready: it refuses by itself, with a sentence that says why.
    """
    identity = owned(tracker, "v1", "Service", naming.door_name(tracker.metadata.name))
    return {
        **identity,
        "spec": {
            "type": "ClusterIP",
            "publishNotReadyAddresses": True,
            "selector": naming.selector(tracker.metadata.name),
            "ports": [{"name": "door", "port": DOOR_PORT, "targetPort": DOOR_PORT, "protocol": "TCP"}],
        },
    }


def _secret(tracker: Tracker, name: str, key: str, value: str) -> Manifest:
    identity = owned(tracker, "v1", "Secret", name)
    return {**identity, "type": "Opaque", "data": {key: base64.b64encode(value.encode()).decode()}}


def _pods_of(gateway: Gateway) -> Manifest:
    where = {"matchLabels": {"kubernetes.io/metadata.name": gateway.namespace}} if gateway.namespace else {}
    return {"namespaceSelector": where, "podSelector": {"matchLabels": dict(gateway.labels)}}


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
