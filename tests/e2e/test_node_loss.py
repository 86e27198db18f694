"""The agent's node is lost in the middle of a request; it comes back in the middle of the track.

At every moment one agent at most serves: the lease in Redis has one holder after the other, and so have the
requests that CVAT sees completed. What the lost agent still has in its hands when it wakes changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sam2_operator.core.plan import NODE_LOSS_MARGIN
from tests.cluster.targets import Target
from tests.cluster.waiting import wait_until
from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.annotator import TrackedFrame
from tests.demo.chaos import MidRequest
from tests.demo.holds import StalledDownload
from tests.demo.install import NAMESPACE
from tests.demo.session import Session
from tests.e2e.nodes import LosableNode
from tests.e2e.trackers import HEALED_WITHIN, LiveTracker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LOST_AT, BACK_AT = 8, 16
LOOKED_AT = frozenset({2, LOST_AT, LOST_AT + 1, BACK_AT, 20, 23})
"""Frames after which the test looks who holds the lease."""
NOTICED_WITHIN = 240.0
"""Seconds: the control plane notices, the pod's grace and the operator's margin pass."""


@pytest.fixture
def lost(cluster: Target) -> LosableNode:
    """The node to lose, which has nothing but the agent."""
    if cluster.local is None:
        pytest.skip("no node of a cluster of your own is taken away")
    return LosableNode(cluster.local.nodes[1], cluster.local.plane)


class NodeLoss(MidRequest):
    """Begins an outage, and does what an admin does then, while the agent is in the middle of a request."""

    name = "node lost"
    what = "the agent's node is lost in a request"

    def __init__(self, tracker: LiveTracker, outage: AbstractContextManager[None], then: Callable[[], None]):
        super().__init__(StalledDownload(tracker.stage.cvat, tracker.function_id()))
        self._outage = outage
        self._then = then
        self._lasting = ExitStack()

    def strike(self) -> None:
        """Begin it."""
        self._lasting.enter_context(self._outage)
        self._then()

    def end(self) -> None:
        """Give the node back; harmless when it is there."""
        self._lasting.close()


def spec(node: LosableNode, on_node_loss: str) -> dict[str, Any]:
    """An agent that prefers that node and need not wait five minutes to be told that it is lost."""
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}
    prefers = {"weight": 100, "preference": {"matchExpressions": [hostname]}}
    leaves = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}
    return {
        "onNodeLoss": on_node_loss,
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [prefers]}},
        "tolerations": [
            {"key": f"node.kubernetes.io/{taint}", **leaves} for taint in ("not-ready", "unreachable")
        ],
    }


@pytest.fixture
def start(other: LiveTracker, lost: LosableNode) -> Iterator[Callable[[str], LiveTracker]]:
    """Start a tracker whose agent is on the node to be lost; the node is as before afterwards."""
    kubectl = other.stage.kubectl

    def started(on_node_loss: str) -> LiveTracker:
        kubectl("uncordon", lost.name)
        other.apply(agent=spec(lost, on_node_loss))
        other.wait_until_ready()
        pod = other.pod()
        assert pod is not None
        assert pod["spec"]["nodeName"] == lost.name
        return other

    try:
        yield started
    finally:
        kubectl("cordon", lost.name)
        kubectl("wait", "--for=condition=Ready", f"node/{lost.name}", "--timeout=90s")


def without_repetition(names: list[str]) -> list[str]:
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


@pytest.mark.parametrize(
    ("outage", "admin_helps"),
    [
        pytest.param("frozen", True, id="frozen, and an admin cordons it and deletes the pod"),
        pytest.param("frozen", False, id="frozen", marks=pytest.mark.full),
        pytest.param("cut_off", False, id="cut off", marks=pytest.mark.full),
        pytest.param("switched_off", False, id="switched off", marks=pytest.mark.full),
    ],
)
def test_with_replace_another_agent_goes_on_and_the_lost_one_changes_nothing(
    lost: LosableNode,
    start: Callable[[str], LiveTracker],
    undisturbed: Session,
    outage: str,
    *,
    admin_helps: bool,
) -> None:
    tracker = start("Replace")
    kubectl = tracker.stage.kubectl
    first = tracker.uid()
    assert first is not None

    def help_out() -> None:
        if admin_helps:
            kubectl("cordon", lost.name)
            kubectl(
                "--namespace",
                NAMESPACE,
                "delete",
                "pod",
                tracker.pod_name,
                "--grace-period=1",
                "--wait=false",
            )

    loss = NodeLoss(tracker, lost.outage(outage), help_out)
    holders = []

    def look(frame: TrackedFrame) -> None:
        if frame.frame == BACK_AT:
            loss.end()
        if frame.frame in LOOKED_AT:
            holders.append(tracker.holder())

    try:
        session = tracker.play(undisturbed.clip, interruptions={LOST_AT: loss}, on_frame=look)
    finally:
        loss.end()

    successor = tracker.pod()
    assert successor is not None
    second = successor["metadata"]["uid"]
    assert wait_until(lambda: not lost.runs(first), HEALED_WITHIN, every=0.5)
    same = session.shapes() == undisturbed.shapes()
    row = situations.add(
        f"node lost, onNodeLoss Replace: {outage.replace('_', ' ')}", outcomes(tracker, same=same)
    )
    assert row.good
    assert successor["spec"]["nodeName"] != lost.name
    assert without_repetition(holders) == [first, second]
    assert tracker.holder() == second
    assert len(tracker.served_from()) == 2


@pytest.mark.full
def test_with_replace_an_agent_that_only_its_kubelet_lost_serves_on_until_it_is_ended(
    lost: LosableNode, start: Callable[[str], LiveTracker], undisturbed: Session
) -> None:
    tracker = start("Replace")
    first = tracker.uid()
    assert first is not None
    holders = []
    with ExitStack() as lasting:

        def look(frame: TrackedFrame) -> None:
            if frame.frame == LOST_AT:
                lasting.enter_context(lost.outage("kubelet_still"))
                assert wait_until(lambda: tracker.uid() not in {None, first}, NOTICED_WITHIN, every=0.5)
                tracker.wait_for_reason("AgentAvailable", {"WaitingForLease"})
            if frame.frame == BACK_AT:
                holders.append(tracker.holder())
                lasting.close()
                assert wait_until(lambda: tracker.holder() == tracker.uid(), HEALED_WITHIN, every=0.5)
            if frame.frame in LOOKED_AT:
                holders.append(tracker.holder())

        session = tracker.play(undisturbed.clip, on_frame=look)

    same = session.shapes() == undisturbed.shapes()
    row = situations.add("node lost, onNodeLoss Replace: kubelet still", outcomes(tracker, same=same))
    assert row.good
    assert without_repetition(holders) == [first, tracker.uid()]
    assert len(tracker.served_from()) == 2
    assert wait_until(lambda: not lost.runs(first), HEALED_WITHIN, every=0.5)


@pytest.mark.full
def test_with_wait_nothing_is_done_until_the_node_is_back(
    lost: LosableNode, start: Callable[[str], LiveTracker], undisturbed: Session
) -> None:
    tracker = start("Wait")
    first = tracker.uid()
    assert first is not None

    def look(frame: TrackedFrame) -> None:
        if frame.frame != LOST_AT:
            return
        with lost.outage("frozen"):
            message = tracker.wait_for_reason("AgentAvailable", {"NodeNotReady"})
            assert lost.name in message
            assert "onNodeLoss" in message
            assert wait_until(lambda: is_overdue(tracker), NOTICED_WITHIN, every=0.5)
            assert tracker.uid() == first
            assert tracker.condition("Ready")["status"] == "False"

    session = tracker.play(undisturbed.clip, on_frame=look)
    tracker.wait_until_ready()

    same = session.shapes() == undisturbed.shapes()
    row = situations.add("node lost, onNodeLoss Wait", outcomes(tracker, same=same))
    assert row.good
    assert tracker.uid() != first  # it was told to end while its node was away


def is_overdue(tracker: LiveTracker) -> bool:
    """Whether `Replace` would have replaced the pod by now, however late the operator looks."""
    pod = tracker.pod()
    assert pod is not None
    deleted = pod["metadata"].get("deletionTimestamp")
    if deleted is None:
        return False
    late = NODE_LOSS_MARGIN + timedelta(seconds=20)
    return datetime.now(UTC) > datetime.fromisoformat(deleted) + late  # noqa: TID251 - the cluster's time


def outcomes(tracker: LiveTracker, *, same: bool) -> Outcomes:
    """What became of the tracker and its track."""
    ids = [function.id for function in tracker.stage.cvat.functions()]
    extra = len(ids) - len({tracker.function_id(), tracker.stage.function_id})
    return Outcomes(converged=int(same and extra == 0), duplicates=extra)
