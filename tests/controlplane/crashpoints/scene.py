"""A namespace with one tracker in it, what users and a kubelet do there, and what is wrong with it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sam2_operator.adapters.kube.answers import NotFoundError
from sam2_operator.adapters.kube.api import MERGE, KubeApi
from tests.controlplane.agents import running
from tests.controlplane.harness import tracker_manifest
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.controlplane.agents import SpeakingAgent

TRACKER = "cars"
_AGENT, _POD = f"{TRACKER}-agent", f"{TRACKER}-agent-0"
_CONTROLLER_SECONDS = 60.0
SHAPES = ("mask", "polygon")


@dataclass
class Scene:
    """One namespace."""

    namespace: str
    api: KubeApi
    cvat: CVAT
    cvat_url: str
    """As trackers name it: through the relay."""
    agent: SpeakingAgent

    # What users do

    def make(self) -> None:
        """Make the namespace, with the credentials of ann."""
        self.api.call("POST", "/api/v1/namespaces", body={"metadata": {"name": self.namespace}})
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "cvat", "namespace": self.namespace},
            "stringData": {"token": "token-of-ann"},
        }
        self.api.call("POST", f"/api/v1/namespaces/{self.namespace}/secrets", body=secret)

    def apply(self, **spec: Any) -> None:
        """Apply the tracker, as kubectl would; its function is one that others could have made as well."""
        spec["function"] = {"visibility": "public", "shapeTypes": list(SHAPES), **spec.get("function", {})}
        manifest = tracker_manifest(self.namespace, self.cvat_url, TRACKER, **spec)
        self.api.apply(self._tracker, manifest, manager="user")

    def delete(self) -> None:
        """Ask for the tracker's deletion."""
        with suppress(NotFoundError):
            self.api.call("DELETE", self._tracker)

    def delete_by_force(self) -> None:
        """Delete the tracker whatever its finalizers say."""
        self.delete()
        if self.tracker() is not None:
            body = {"metadata": {"finalizers": None}}
            self.api.call("PATCH", self._tracker, body=body, content_type=MERGE)

    def end(self) -> None:
        """Leave nothing that works. The namespace stays: to empty one is more work than all before."""
        self.delete_by_force()
        self.cvat.release_lists()
        for function in self.cvat.functions():
            self.cvat.forget_function(function.id)

    # What a kubelet does

    def play_kubelet(self) -> None:
        """Wait for the controllers of Kubernetes, and let the agent's pod run and serve."""
        while True:
            wait_for(self._controllers_are_done, "the StatefulSet's controller", within=_CONTROLLER_SECONDS)
            pod = self.get(f"/api/v1/namespaces/{self.namespace}/pods/{_POD}")
            if pod is None or pod.get("status", {}).get("podIP"):
                return
            path = f"/api/v1/namespaces/{self.namespace}/pods/{_POD}/status"
            body = {"status": running(self.agent.address)}
            with suppress(NotFoundError):  # its controller is replacing it
                self.api.call("PATCH", path, body=body, content_type=MERGE)
                return

    def _controllers_are_done(self) -> bool:
        live = self.stateful_set()
        pod = self.get(f"/api/v1/namespaces/{self.namespace}/pods/{_POD}")
        if live is None or live["metadata"].get("deletionTimestamp"):
            return live is None and pod is None
        status = live.get("status", {})
        if status.get("observedGeneration") != live["metadata"]["generation"]:
            return False
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return pod is None and live["spec"]["replicas"] == 0
        revision = pod["metadata"]["labels"].get("controller-revision-hash")
        return bool(revision == status.get("updateRevision"))

    # What there is

    @property
    def _tracker(self) -> str:
        return f"/apis/sam2.dev/v1alpha1/namespaces/{self.namespace}/sam2trackers/{TRACKER}"

    def get(self, path: str) -> dict[str, Any] | None:
        return self.api.get(path)

    def tracker(self) -> dict[str, Any] | None:
        return self.get(self._tracker)

    def uid(self) -> str | None:
        live = self.tracker()
        return None if live is None else str(live["metadata"]["uid"])

    def function_id(self) -> int | None:
        live = self.tracker() or {}
        found: int | None = live.get("status", {}).get("functionID")
        return found

    def stateful_set(self) -> dict[str, Any] | None:
        return self.get(f"/apis/apps/v1/namespaces/{self.namespace}/statefulsets/{_AGENT}")

    def pods(self) -> list[str]:
        found = self.api.pages(f"/api/v1/namespaces/{self.namespace}/pods")
        return [str(each["metadata"]["name"]) for each in found]


def describe(tracker: dict[str, Any] | None) -> str:
    """Give what the tracker says of itself, in a line."""
    if tracker is None:
        return "no tracker"
    status = tracker.get("status", {})
    ready: dict[str, Any] = next(
        (each for each in status.get("conditions", []) if each["type"] == "Ready"), {}
    )
    return f"{ready.get('reason')}: {ready.get('message')}; status {status}"
