"""Everything in place for an annotator: what the demo and the end-to-end tests have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import step
from tests.cvat_standin.annotator import Annotator, RunError, TrackedFrame
from tests.cvat_standin.client import CVAT
from tests.demo import install
from tests.demo.chaos import PodDeletion, ProcessKill, remove_chaos
from tests.demo.clips import Clip
from tests.demo.diagnosis import diagnose
from tests.demo.errors import DemoError
from tests.demo.images import Images
from tests.demo.install import NAMESPACE, ORGANIZATION, TRACKER, Account
from tests.demo.portforward import port_forward
from tests.demo.session import Interruption, Session, annotate
from tests.demo.target import keep

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
        on_frame: Callable[[TrackedFrame], None] = lambda _frame: None,
    ) -> Session:
        """Let the annotator work on a new task of the clip; a SIGKILL, a deleted pod come at those frames.

        Other `interruptions` come at theirs.

        Raises `DemoError` with what the cluster says when an answer does not come.
        """
        task_id = self.cvat.add_task(clip.jpegs, _ANNOTATOR, name=clip.name, organization=ORGANIZATION)
        kubectl, image = self.kubectl, self.images.operator
        planned: dict[int, Interruption] = dict(interruptions or {})
        if kill_at is not None:
            planned[kill_at] = ProcessKill(kubectl, self.cvat, self.function_id, image)
        if delete_at is not None:
            planned[delete_at] = PodDeletion(kubectl, self.cvat, self.function_id)
        try:
            return annotate(
                clip, self.annotator, self.function_id, task_id, interruptions=planned, on_frame=on_frame
            )
        except (RunError, AssertionError, TimeoutError) as error:
            raise DemoError(
                f"the annotator's work on the {clip.name} clip failed: {error}\n"
                f"{diagnose(kubectl, NAMESPACE, f'sam2tracker/{TRACKER}')}",
                advice="the agent's log above names the cause",
            ) from error

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
    if install.is_present(kubectl):
        with step("remove what an earlier run left"):
            _remove(kubectl, crd=False)
    install.require_no_trackers(kubectl)
    had_crd = install.has_crd(kubectl)
    try:
        with step("helm install: operator and Redis"):
            install.install_chart(kubectl, images)
        with step("CVAT's stand-in as a pod, the small model on a volume"):
            install.make_namespace(kubectl, NAMESPACE)
            install.start_standin(kubectl, images)
            install.put_model(kubectl, images, storage_class=storage_class)
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
    finally:
        if not keep():
            with step("remove the tracker and its function, the chart, the namespaces"):
                _remove(kubectl, crd=not had_crd)


def _remove(kubectl: Kubectl, *, crd: bool) -> None:
    remove_chaos(kubectl, wait=False)
    install.remove(kubectl, crd=crd)
    remove_chaos(kubectl)
