"""Everything in place for an annotator of a CVAT without agents: the gateway, and a serverless tracker.

CVAT's side of the serverless door needs no server of its own: it runs here, and calls the gateway.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.places import REPOSITORY
from tests.cluster.progress import say, step
from tests.cluster.waiting import wait_until
from tests.cvat_standin.serverless import Annotator, Dashboard, Function, LambdaManager
from tests.cvat_standin.shapes import Shape
from tests.demo import install
from tests.demo.chaos import PodDeletion, ProcessKill
from tests.demo.clips import Clip
from tests.demo.diagnosis import explained
from tests.demo.errors import DemoError
from tests.demo.holds import FrozenAgent
from tests.demo.images import Images
from tests.demo.install import NAMESPACE, RELEASE, SYSTEM, TRACKER
from tests.demo.installed import installed
from tests.demo.portforward import port_forward
from tests.demo.privileged import AgentSignals
from tests.demo.session import Frames, Interruption, OnFrame, Session, annotate

GATEWAY = f"{RELEASE}-gateway"
VALUES = ("--set=gateway.enabled=true", "--set=gateway.requireSecret=true")
"""Helm's options: a gateway that those may call who know the secret."""

_EXAMPLE = REPOSITORY / "examples" / "tracker-serverless.yaml"
_IN_HAND = "sam2_gateway_calls_in_hand"
_LISTED_WITHIN = 60.0


@dataclass(frozen=True)
class DoorStage:
    """A serverless tracker that is Ready, and a CVAT that calls it through the gateway."""

    kubectl: Kubectl
    images: Images
    manager: LambdaManager
    tracker: str = TRACKER

    def function(self) -> Function:
        """The tracker as CVAT's page offers it. Raises `DemoError` where it stays unknown."""
        found: list[Function] = []

        def listed() -> bool:
            found[:] = [each for each in self.manager.trackers() if each.id == f"{NAMESPACE}.{self.tracker}"]
            return bool(found)

        if not wait_until(listed, _LISTED_WITHIN, every=0.5):
            raise DemoError(
                f"the gateway does not list {NAMESPACE}.{self.tracker} after {_LISTED_WITHIN:.0f} s",
                advice=f"kubectl --namespace {SYSTEM} logs deployment/{GATEWAY}",
            )
        return found[0]

    def play(self, clip: Clip, *, kill_at: int | None = None, delete_at: int | None = None) -> Session:
        """Let the annotator work on the clip; a SIGKILL, a deleted pod come at those frames.

        Raises `DemoError` with what the cluster says when an answer does not come.
        """
        function, page = self.function(), Annotator(self.manager)
        planned: dict[int, Interruption] = {}
        if kill_at is not None:
            planned[kill_at] = ProcessKill(self._hold(), self._signals)
        if delete_at is not None:
            planned[delete_at] = PodDeletion(self._hold(), self.kubectl, self.tracker)

        def track(shapes: Sequence[Shape], *, start: int, stop: int, on_frame: OnFrame) -> Frames:
            call = page.track(function.id, clip.jpegs, shapes, start=start, stop=stop, on_frame=on_frame)
            return call.frames

        work = f"the annotator's work on the {clip.name} clip"
        with explained(self.kubectl, NAMESPACE, self.tracker, work):
            return annotate(clip, track, interruptions=planned)

    def functions(self) -> int:
        """How many trackers CVAT lists, once the one that is served is Ready again after the last kill."""
        self.function()
        return len(self.manager.trackers())

    def agents(self) -> frozenset[str]:
        """The pods of agents that there are."""
        pods = self.kubectl.get("--namespace", NAMESPACE, "pods")["items"]
        names = (str(pod["metadata"]["name"]) for pod in pods)
        return frozenset(name for name in names if "-agent-" in name)

    @property
    def _signals(self) -> AgentSignals:
        return AgentSignals(self.kubectl, self.images.operator, self.tracker)

    def _hold(self) -> FrozenAgent:
        return FrozenAgent(self._signals, self._calls_in_hand)

    def _calls_in_hand(self) -> int:
        """Of all gateways together."""
        chosen = "--selector=app.kubernetes.io/component=gateway"
        pods = self.kubectl.get("--namespace", SYSTEM, "pods", chosen)["items"]
        told = [
            self.kubectl(
                "get",
                "--raw",
                f"/api/v1/namespaces/{SYSTEM}/pods/{pod['metadata']['name']}:8080/proxy/metrics",
            )
            for pod in pods
        ]
        lines = [line.split() for text in told for line in text.splitlines() if line.startswith(_IN_HAND)]
        return int(sum(float(value) for _, value in lines))


@contextmanager
def door_staged(kubectl: Kubectl, images: Images) -> Iterator[DoorStage]:
    """Install everything, wait until CVAT lists the tracker; take it out again unless it is to be kept."""
    with installed(kubectl, images, *VALUES):
        with step("kubectl apply -f examples/tracker-serverless.yaml, until Ready"):
            install.apply_tracker(kubectl, serverless_tracker())
            install.wait_for(kubectl, f"sam2tracker/{TRACKER}", seconds=180)
        with calling(kubectl) as manager:
            stage = DoorStage(kubectl, images, manager)
            with step("CVAT asks the gateway which trackers there are"):
                found = stage.function()
                say(f"   {found.id}: {found.name}, for {', '.join(found.shape_types)}")
            yield stage


@contextmanager
def calling(kubectl: Kubectl) -> Iterator[LambdaManager]:
    """CVAT's server, with the gateway for its Nuclio, and with the secret in the address."""
    data = kubectl.get("--namespace", SYSTEM, "secret", GATEWAY)["data"]
    secret = base64.b64decode(data["secret"]).decode()
    with port_forward(kubectl, SYSTEM, GATEWAY, 8070) as url:
        yield LambdaManager(Dashboard(url.replace("://", f"://cvat:{secret}@")))


def serverless_tracker(name: str = TRACKER) -> dict[str, Any]:
    """The tracker of `examples/tracker-serverless.yaml`, with the model that lies on the volume."""
    manifest: dict[str, Any] = yaml.safe_load(_EXAMPLE.read_text())
    manifest["metadata"] = {"name": name, "namespace": NAMESPACE}
    manifest["spec"]["model"] = install.tracker()["spec"]["model"]
    return manifest
