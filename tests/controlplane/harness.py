"""An operator of the test's own, whose time the test moves."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import urllib3

from sam2_operator import wiring
from sam2_operator.adapters.agents import HttpAgents
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.adapters.metrics import OperatorMetrics
from sam2_operator.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sam2_operator.adapters.kube.api import KubeApi
    from sam2_operator.adapters.statestore import RedisStateStore
    from sam2_operator.core.outcome import Outcome
    from sam2_operator.reconcile import Reconciler
    from sam2_operator.settings import Settings
    from tests.cluster.kubectl import Kubectl
    from tests.cvat_standin.client import CVAT


class MovableClock:
    """The port `Clock`: the machine's time, which tests set forward."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._offset = timedelta()

    def now(self) -> datetime:
        return self._system.now() + self._offset

    def monotonic(self) -> float:
        return self._system.monotonic() + self._offset.total_seconds()

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)

    def set(self, seconds: float) -> None:
        """Be this much ahead of the machine."""
        self._offset = timedelta(seconds=seconds)


@dataclass
class Operator:
    """One operator process, without the process: `restart` loses all that it had in memory."""

    settings: Settings
    world: wiring.World
    clock: MovableClock
    reconciler: Reconciler
    restarts: int = 0

    @classmethod
    def start(
        cls, settings: Settings, api: KubeApi, store: RedisStateStore, instance: str = "operator-0"
    ) -> Operator:
        clock = MovableClock()
        kube = Kube(api, clock, settings.namespaces, instance)
        world = wiring.World(kube, kube, SdkCvat(clock), store, HttpAgents(clock), clock, OperatorMetrics())
        return cls(settings, world, clock, wiring.reconciler(settings, world, instance))

    def restart(self) -> None:
        self.restarts += 1
        self.reconciler = wiring.reconciler(self.settings, self.world, f"operator-{self.restarts}")

    def reconcile(self, namespace: str, name: str = "cars") -> Outcome:
        """Reconcile once, and again when somebody else was faster."""
        while True:
            try:
                return self.reconciler.reconcile(namespace, name)
            except ConflictError:
                continue

    def settle(self, namespace: str, name: str = "cars", *, times: int = 3) -> Outcome:
        """Reconcile as often as it takes for one change to lead to the next."""
        for _ in range(times):
            outcome = self.reconcile(namespace, name)
        return outcome


@dataclass(frozen=True)
class Namespace:
    """A namespace of the test's own, and what users do in it."""

    name: str
    kubectl: Kubectl

    def apply_tracker(self, url: str, name: str = "cars", **spec: Any) -> None:
        self.kubectl.apply(tracker_manifest(self.name, url, name, **spec))

    def make_secret(self, name: str, **data: str) -> None:
        self.kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": self.name},
                "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
            }
        )

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.kubectl.get("-n", self.name, kind, name)

    def exists(self, kind: str, name: str) -> bool:
        return self.kubectl.run("-n", self.name, "get", kind, name).returncode == 0

    def delete(self, kind: str, name: str, *options: str) -> None:
        self.kubectl("-n", self.name, "delete", kind, name, *options)

    def patch(self, kind: str, name: str, patch: dict[str, Any], *options: str) -> None:
        self.kubectl("-n", self.name, "patch", kind, name, "--type=merge", "-p", json.dumps(patch), *options)

    def status(self, name: str = "cars") -> dict[str, Any]:
        status: dict[str, Any] = self.get("s2t", name).get("status", {})
        return status

    def condition(self, kind: str, name: str = "cars") -> dict[str, Any]:
        return next(each for each in self.status(name)["conditions"] if each["type"] == kind)

    def reason(self, name: str = "cars") -> str:
        """Why the tracker is ready, or not."""
        return str(self.condition("Ready", name)["reason"])

    def pod_status(self, status: dict[str, Any], name: str = "cars-agent-0") -> None:
        """Say of the pod what a scheduler and a kubelet would."""
        self.patch("pod", name, {"status": status}, "--subresource=status")


def tracker_manifest(namespace: str, url: str, name: str = "cars", **spec: Any) -> dict[str, Any]:
    """The usual tracker, with parts of its spec laid over."""
    usual: dict[str, Any] = {
        "cvat": {"url": url, "credentialsSecretRef": {"name": "cvat"}},
        "model": {"id": "facebook/sam2.1-hiera-tiny", "device": "cpu"},
    }
    for part, value in spec.items():
        usual[part] = {**usual.get(part, {}), **value} if isinstance(value, dict) else value
    return {
        "apiVersion": "sam2.dev/v1alpha1",
        "kind": "SAM2Tracker",
        "metadata": {"name": name, "namespace": namespace},
        "spec": usual,
    }


def make_function(
    cvat: CVAT,
    name: str,
    *,
    username: str = "ann",
    visibility: str = "private",
    shapes: Sequence[str] = ("mask",),
) -> int:
    """Make a function in CVAT as a user would; give its id."""
    body = {
        "provider": "native",
        "kind": "tracker",
        "name": name,
        "visibility": visibility,
        "supported_shape_types": list(shapes),
    }
    headers = {"Authorization": f"Bearer token-of-{username}"}
    answer = urllib3.request("POST", f"{cvat.url}/api/functions", json=body, headers=headers, retries=False)
    assert answer.status == 201, answer.data
    return int(answer.json()["id"])
