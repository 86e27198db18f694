"""kopf, and nothing else: what happens in the cluster wakes the driver.

kopf is used for its watches only. Handlers of events need no finalizers and no annotations of kopf's, so kopf
writes nothing to the cluster. Its watches have been seen to go silent; timeouts renew them, and the driver's
sweep and interval do not depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import kopf

from sam2_operator.api import GROUP, PLURAL, VERSION
from sam2_operator.core.naming import FIELD_MANAGER, INSTANCE_LABEL, MANAGED_BY_LABEL

Wake = Callable[[str, str], None]


def registry(wake: Wake) -> kopf.OperatorRegistry:
    """Give the handlers: of trackers, and of StatefulSets that belong to trackers."""
    handlers = kopf.OperatorRegistry()

    async def tracker_changed(namespace: str, name: str, **_: Any) -> None:
        wake(namespace, name)

    async def workload_changed(namespace: str, labels: Mapping[str, str], **_: Any) -> None:
        wake(namespace, labels[INSTANCE_LABEL])

    kopf.on.login(registry=handlers)(_log_in)
    kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)(tracker_changed)
    ours = {MANAGED_BY_LABEL: FIELD_MANAGER}
    kopf.on.event("apps", "v1", "statefulsets", labels=ours, registry=handlers)(workload_changed)
    return handlers


def _log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def settings() -> kopf.OperatorSettings:
    """Give kopf's settings: watch, and leave no trace."""
    configured = kopf.OperatorSettings()
    configured.posting.enabled = False
    configured.scanning.disabled = True
    configured.watching.server_timeout = 240
    configured.watching.client_timeout = 270
    configured.watching.connect_timeout = 10
    configured.networking.request_timeout = 60
    configured.networking.connect_timeout = 10
    return configured
