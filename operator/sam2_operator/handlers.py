"""kopf, and nothing else: what happens in the cluster wakes the driver.

kopf is used for its watches only. Handlers of events need no finalizers and no annotations of kopf's, so kopf
writes nothing to the cluster. Its watches have been seen to go silent; time-outs renew them, and the driver's
sweep and interval do not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from sam2_operator.api import GROUP, PLURAL, VERSION
from sam2_operator.core.naming import FIELD_MANAGER, INSTANCE_LABEL, MANAGED_BY_LABEL
from sam2_operator.core.nuclio import is_serverless

Wake = Callable[[str, str], None]


def registry(wake: Wake) -> kopf.OperatorRegistry:
    """Give the handlers: of trackers, and of StatefulSets that belong to trackers."""
    handlers = kopf.OperatorRegistry()

    async def tracker_changed(namespace: str, name: str, **_: Any) -> None:
        wake(namespace, name)

    async def workload_changed(namespace: str, labels: Mapping[str, str], **_: Any) -> None:
        if INSTANCE_LABEL in labels:
            wake(namespace, labels[INSTANCE_LABEL])

    # It reads the pod's files, or the kubeconfig, each time: an expired token is replaced by its heir.
    kopf.on.login(registry=handlers)(kopf.login_via_client)
    kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)(tracker_changed)
    ours = {MANAGED_BY_LABEL: FIELD_MANAGER}
    kopf.on.event("apps", "v1", "statefulsets", labels=ours, registry=handlers)(workload_changed)
    return handlers


def of_serverless_trackers(wake: Wake) -> kopf.OperatorRegistry:
    """Give the handler of trackers that CVAT calls."""
    handlers = kopf.OperatorRegistry()

    async def tracker_changed(namespace: str, name: str, body: Mapping[str, Any], **_: Any) -> None:
        if is_serverless(dict(body)):
            wake(namespace, name)

    kopf.on.login(registry=handlers)(kopf.login_via_client)
    kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)(tracker_changed)
    return handlers


def settings(silence: float = 70.0) -> kopf.OperatorSettings:
    """Give kopf's settings: watch, leave no trace, and take no silence for calm.

    Args:
        silence: seconds without any event after which a watch is renewed; the API server sends a bookmark a
            minute.
    """
    configured = kopf.OperatorSettings()
    configured.posting.enabled = False
    configured.scanning.disabled = True
    # By label already at the API server: of a large cluster's StatefulSets nearly all are others'.
    configured.watching.label_selectors["apps", "v1", "statefulsets"] = f"{MANAGED_BY_LABEL}={FIELD_MANAGER}"
    configured.watching.server_timeout = 240
    configured.watching.client_timeout = 270
    configured.watching.inactivity_timeout = silence
    configured.watching.connect_timeout = 10
    configured.networking.request_timeout = 60
    configured.networking.connect_timeout = 10
    # What lasts longer ends kopf with a reason, which is told in a sentence before it is started again.
    configured.networking.error_backoffs = (1, 2, 4, 8)
    # kopf would kill the whole process this long after it ended by itself.
    configured.process.ultimate_exiting_timeout = None
    return configured
