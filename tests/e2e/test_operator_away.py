"""The operator is killed, or drained from its node, in the middle of a rollout: its successor goes on."""

from __future__ import annotations

import pytest

from tests.cluster.targets import Target
from tests.cluster.waiting import wait_until
from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.annotator import TrackedFrame
from tests.demo.install import SYSTEM
from tests.demo.session import Session
from tests.demo.stage import Stage
from tests.e2e.trackers import LiveTracker

pytestmark = [pytest.mark.e2e, pytest.mark.full, pytest.mark.timeout(600)]

CHANGE_AT = 8
OPERATOR = "app.kubernetes.io/component=operator"


@pytest.mark.parametrize("how", ["killed", "drained"])
def test_a_rollout_goes_on_under_the_next_operator(
    cluster: Target, stage: Stage, undisturbed: Session, how: str
) -> None:
    tracker = LiveTracker(stage)
    before, operator = tracker.uid(), operator_pod(stage)
    node = operator_node(stage)
    others = [each["metadata"]["name"] for each in stage.kubectl.get("nodes")["items"]]
    others.remove(node)

    def change(frame: TrackedFrame) -> None:
        if frame.frame != CHANGE_AT:
            return
        tracker.apply(agent={"podAnnotations": {"example.com/operator": how}})
        if how == "killed":
            stage.kubectl(
                "--namespace", SYSTEM, "delete", "pod", "--selector", OPERATOR, "--grace-period=0", "--force"
            )
        else:
            stage.kubectl("uncordon", *others)
            stage.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={OPERATOR}"
            )

    try:
        session = tracker.play(undisturbed.clip, on_frame=change)
        assert wait_until(lambda: tracker.uid() not in {None, before}, 120, every=0.5)
        tracker.wait_until_ready()
    finally:
        stage.kubectl("uncordon", node)
        if how == "drained" and cluster.local:
            stage.kubectl("cordon", *others)
            stage.kubectl("--namespace", SYSTEM, "delete", "pod", "--selector", OPERATOR)

    functions = len(stage.cvat.functions())
    same = session.shapes() == undisturbed.shapes()
    outcomes = Outcomes(converged=int(same and functions == 1), duplicates=functions - 1)
    assert situations.add(f"operator {how} during a rollout", outcomes).good
    assert operator_pod(stage) != operator


def operator_pod(stage: Stage) -> str:
    """The name of the operator's pod."""
    (pod,) = stage.kubectl.get("--namespace", SYSTEM, "pods", "--selector", OPERATOR)["items"]
    return str(pod["metadata"]["name"])


def operator_node(stage: Stage) -> str:
    """The node of the operator's pod."""
    (pod,) = stage.kubectl.get("--namespace", SYSTEM, "pods", "--selector", OPERATOR)["items"]
    return str(pod["spec"]["nodeName"])
