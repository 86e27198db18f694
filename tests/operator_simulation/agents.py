"""What agents do as far as the operator notices: they load, serve, crash, and say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from sam2_operator.core.observed import AgentReport
from tests.operator_simulation.cvat import CVAT
from tests.operator_simulation.kubernetes.controllers import running
from tests.operator_simulation.kubernetes.store import Store
from tests.operator_simulation.strands import StrandLoop

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest


@dataclass
class Agents:
    """All agents, by the uid of their pod."""

    loop: StrandLoop
    rng: Random
    store: Store
    cvat: CVAT
    serving: set[str] = field(default_factory=set)
    _starting: set[str] = field(default_factory=set)

    def notice(self, plural: str, live: Manifest) -> None:
        """A pod that runs begins to load its model."""
        uid = live["metadata"]["uid"]
        if plural == "pods" and live.get("status", {}).get("podIP") and uid not in self._starting:
            self._starting.add(uid)
            self.loop.outside(self.rng.uniform(1, 12), self._serve, live["metadata"]["namespace"], uid)

    def crash(self) -> None:
        """One agent's container ends, and is started again."""
        pods = [each for each in self.store.all("pods") if each["metadata"]["uid"] in self.serving]
        if pods:
            pod = self.rng.choice(pods)
            metadata = pod["metadata"]
            self.serving.discard(metadata["uid"])
            count = pod["status"]["containerStatuses"][0]["restartCount"] + 1
            self._tell(pod, running(pod["status"]["podIP"], restarts=count))
            self.loop.outside(self.rng.uniform(1, 12), self._serve, metadata["namespace"], metadata["uid"])

    def says(self, address: str) -> AgentReport | None:
        """What answers at an address; None where nothing does."""
        for pod in self.store.all("pods"):
            if pod.get("status", {}).get("podIP") == address:
                return self._report(pod)
        return None

    def _report(self, pod: Manifest) -> AgentReport:
        function_id = int(setting(pod["spec"], "FUNCTION_ID") or 0)
        if pod["metadata"]["uid"] not in self.serving:
            return AgentReport(ready=False, reason="LoadingModel", message="The agent loads its model.")
        if function_id not in self.cvat.functions:
            return AgentReport(ready=False, reason="FunctionNotFound", message="CVAT has no such function.")
        return AgentReport(ready=True, reason="Serving", message="The agent serves.")

    def _serve(self, namespace: str, uid: str) -> None:
        for pod in self.store.all("pods", namespace):
            if pod["metadata"]["uid"] == uid and not pod["metadata"].get("deletionTimestamp"):
                self.serving.add(uid)
                count = pod["status"]["containerStatuses"][0]["restartCount"]
                self._tell(pod, running(pod["status"]["podIP"], ready=True, restarts=count))

    def _tell(self, pod: Manifest, status: Manifest) -> None:
        metadata = pod["metadata"]
        key = ("pods", metadata["namespace"], metadata["name"])
        self.store.update_status(key, {"metadata": {}, "status": status})


def setting(pod_spec: Manifest, name: str) -> str | None:
    """Give a setting of the agent from the spec of its pod."""
    variables = pod_spec["containers"][0]["env"]
    return next((each.get("value") for each in variables if each["name"] == f"SAM2_AGENT_{name}"), None)
