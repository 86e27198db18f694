"""Everything in place for an annotator of a CVAT with agents, for the demo and the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import step
from tests.cvat_standin.annotator import Annotator
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.shapes import Shape
from tests.demo import install
from tests.demo.chaos import PodDeletion, ProcessKill
from tests.demo.clips import Clip
from tests.demo.diagnosis import explained
from tests.demo.holds import StalledDownload
from tests.demo.images import Images
from tests.demo.install import NAMESPACE, ORGANIZATION, TRACKER, Account
from tests.demo.installed import installed
from tests.demo.portforward import port_forward
from tests.demo.privileged import AgentSignals
from tests.demo.session import Frames, Interruption, OnFrame, Session, annotate

_AGENT, _ANNOTATOR = "agent", "annotator"
"""The accounts in CVAT."""
_PATIENCE = 180.0
"""Seconds that the annotator waits for one answer."""


@dataclass(frozen=True)
class Stage:
    """A tracker that is Ready, and CVAT's stand-in at hand."""

    kubectl: Kubectl
    images: Images
    cvat: CVAT
    annotator: Annotator
    function_id: int

    def play(
        self,
        clip: Clip,
        *,
        kill_at: int | None = None,
        delete_at: int | None = None,
        interruptions: Mapping[int, Interruption] | None = None,
        on_frame: OnFrame = lambda _frame: None,
    ) -> Session:
        """Let the annotator work on a new task of the clip; a SIGKILL, a deleted pod come at those frames.

        Other `interruptions` come at theirs.

        Raises `DemoError` with what the cluster says when an answer does not come.
        """
        task_id = self.cvat.add_task(clip.jpegs, _ANNOTATOR, name=clip.name, organization=ORGANIZATION)
        planned: dict[int, Interruption] = dict(interruptions or {})
        if kill_at is not None:
            signals = AgentSignals(self.kubectl, self.images.operator, TRACKER)
            planned[kill_at] = ProcessKill(self._hold(), signals)
        if delete_at is not None:
            planned[delete_at] = PodDeletion(self._hold(), self.kubectl)

        def track(shapes: Sequence[Shape], *, start: int, stop: int, on_frame: OnFrame) -> Frames:
            page, function = self.annotator, self.function_id
            return page.track(function, task_id, shapes, start=start, stop=stop, on_frame=on_frame).frames

        with explained(self.kubectl, NAMESPACE, TRACKER, f"the annotator's work on the {clip.name} clip"):
            return annotate(clip, track, interruptions=planned, on_frame=on_frame)

    def _hold(self) -> StalledDownload:
        return StalledDownload(self.cvat, self.function_id)

    def functions(self) -> int:
        """How many functions CVAT has."""
        return len(self.cvat.functions())

    def agents(self) -> frozenset[str]:
        """Who served the function: the ids that agents gave CVAT; a call that a kill cut short gives none."""
        queue = f"function:{self.function_id}"
        acquired = self.cvat.log(f"POST /api/functions/queues/{queue}/requests/acquire")
        return frozenset(entry.agent_id for entry in acquired if entry.agent_id is not None)


@contextmanager
def staged(kubectl: Kubectl, images: Images, *, storage_class: str | None = None) -> Iterator[Stage]:
    """Install everything, wait until the tracker is Ready; take it out again unless it is to be kept.

    The model lies on a volume of that class: where none is named, of the cluster's default one.
    """
    with installed(kubectl, images, storage_class=storage_class):
        with step("CVAT's stand-in as a pod"):
            install.start_standin(kubectl, images)
        with (
            port_forward(kubectl, NAMESPACE, install.CVAT, install.CVAT_PORT) as url,
            closing(CVAT(url)) as cvat,
        ):
            agent, person = cvat.add_user(_AGENT), cvat.add_user(_ANNOTATOR)
            cvat.add_organization(ORGANIZATION, _AGENT, {_ANNOTATOR: "worker"})
            manifest = install.tracker()
            account = Account(agent.username, agent.password)
            install.apply_credentials(kubectl, install.credentials_name(manifest), account)
            with step("kubectl apply -f examples/tracker-offline.yaml, until Ready"):
                install.apply_tracker(kubectl, manifest)
                install.wait_for(kubectl, f"sam2tracker/{TRACKER}", seconds=180)
            page = Annotator(
                url, person.username, person.password, organization=ORGANIZATION, call_seconds=_PATIENCE
            )
            with page:
                yield Stage(kubectl, images, cvat, page, install.function_id(kubectl))
