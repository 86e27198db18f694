"""A tracker is changed to what cannot run, and back: the operator heals it, and the track goes on.

StatefulSets do not: they wait for ever for a pod that never became ready, whatever their template says by
now. So nothing in here touches a pod.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.annotator import TrackedFrame
from tests.demo.session import Session
from tests.demo.stage import Stage
from tests.e2e.trackers import HEALED_WITHIN, LiveTracker
from tests.samples import FULL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

BREAK_AT = 8


class Broken(NamedTuple):
    """A change for the worse, and what the conditions then say."""

    spec: Mapping[str, Mapping[str, Any]]
    reasons: frozenset[str]


ALL = {
    "image": Broken(
        {"agent": {"image": "sam2-tracker-agent:absent"}}, frozenset({"ErrImagePull", "ImagePullBackOff"})
    ),
    "model": Broken({"model": {"checkpoint": "absent.pt"}}, frozenset({"ModelNotFound"})),
    "resources": Broken(
        {"agent": {"resources": {"limits": {"nvidia.com/gpu": 99}}}}, frozenset({"Unschedulable"})
    ),
    "node selector": Broken(
        {"agent": {"nodeSelector": {"example.com/rack": "nowhere"}}}, frozenset({"Unschedulable"})
    ),
}


@pytest.mark.parametrize("field", ALL if FULL else ["image"])
def test_a_broken_rollout_heals_by_the_operator_alone(stage: Stage, undisturbed: Session, field: str) -> None:
    broken, tracker = ALL[field], LiveTracker(stage)
    before = tracker.uid()

    def break_and_mend(frame: TrackedFrame) -> None:
        if frame.frame == BREAK_AT:
            tracker.apply(**broken.spec)
            tracker.wait_for_reason("AgentAvailable", broken.reasons, within=HEALED_WITHIN)
            assert tracker.condition("Ready")["status"] == "False"
            tracker.apply()

    session = tracker.play(undisturbed.clip, on_frame=break_and_mend)
    tracker.wait_until_ready()

    same = session.shapes() == undisturbed.shapes()
    functions = len(stage.cvat.functions())
    outcomes = Outcomes(converged=int(same), duplicates=functions - 1)
    assert situations.add(f"broken rollout and back: {field}", outcomes).good
    assert functions == 1
    assert tracker.uid() != before
