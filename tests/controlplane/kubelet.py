"""What a kubelet would say of the agents of a namespace, where there is none."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from sam2_operator.adapters.kube.api import MERGE, KubeApi
from sam2_operator.errors import KubernetesError
from tests.controlplane.agents import container_status, running

if TYPE_CHECKING:
    from tests.controlplane.agents import SpeakingAgent

BROKEN_IMAGE = "broken"
_LOOKS_EVERY_SECONDS = 0.05


class Kubelet(AbstractContextManager["Kubelet"]):
    """Lets each new pod run at the agent's address, unless it cannot pull its image; while inside."""

    def __init__(self, api: KubeApi, namespace: str, agent: SpeakingAgent) -> None:
        self._api, self._pods = api, f"/api/v1/namespaces/{namespace}/pods"
        self._running = running(agent.address)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._done.wait(_LOOKS_EVERY_SECONDS):
            with suppress(KubernetesError):  # a pod may go, or change, at any time
                for pod in self._api.pages(self._pods):
                    self._look_at(pod)

    def _look_at(self, pod: dict[str, Any]) -> None:
        conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
        # The scheduler, which knows of no node, may speak later than we.
        told = pod["status"].get("containerStatuses") and conditions.get("PodScheduled") == "True"
        if pod["metadata"].get("deletionTimestamp") or told:
            return
        (container,) = pod["spec"]["containers"]
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "broken"'}}
        broken = {
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [container_status(waiting)],
        }
        status = broken if container["image"] == BROKEN_IMAGE else self._running
        path = f"{self._pods}/{pod['metadata']['name']}/status"
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        self._api.call("PATCH", path, body=body, content_type=MERGE)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
