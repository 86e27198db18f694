"""The main job on a real cluster: a video is tracked, and nobody sees that agents died meanwhile."""

from __future__ import annotations

import pytest

from tests.demo.clips import Clip, synthetic
from tests.demo.install import agent_pod
from tests.demo.reference import reference
from tests.demo.stage import Stage
from tests.demo.verdict import IOU_TOLERANCE, Verdict, iou_curves

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KILL_AT, DELETE_AT = 18, 48


@pytest.fixture(scope="module")
def clip() -> Clip:
    return synthetic()


@pytest.fixture(scope="module")
def verdict(stage: Stage, clip: Clip) -> Verdict:
    """The annotator's session once in peace, once with two kills, beside SAM2's own predictor."""
    undisturbed = stage.play(clip)
    session = stage.play(clip, kill_at=KILL_AT, delete_at=DELETE_AT)
    return Verdict(
        session=session,
        undisturbed=undisturbed,
        curves=iou_curves(clip, session.masks()),
        own=iou_curves(clip, reference(clip)),
        functions=stage.functions(),
        agents=stage.agents(),
    )


def test_every_shape_is_the_same_as_without_kills(verdict: Verdict) -> None:
    assert verdict.session.shapes() == verdict.undisturbed.shapes()


def test_masks_are_as_good_as_those_of_sam2s_own_predictor(verdict: Verdict) -> None:
    assert verdict.curves.mean(axis=1) == pytest.approx(verdict.own.mean(axis=1), abs=IOU_TOLERANCE)
    assert verdict.curves.mean() > 0.9


def test_the_correction_pays(verdict: Verdict, clip: Clip) -> None:
    assert clip.correction is not None
    target, start = clip.correction.target, clip.correction.frame
    before = iou_curves(clip, verdict.session.first_masks())
    assert verdict.curves[target, start:].mean() > before[target, start:].mean()


def test_both_agents_died_in_the_middle_of_a_request(verdict: Verdict, stage: Stage) -> None:
    assert [outage.frame for outage in verdict.session.outages] == [KILL_AT, DELETE_AT]
    assert all(outage.seconds < 60 for outage in verdict.session.outages)
    # CVAT handed each request out once: the successor knew what its predecessor had in hand.
    assert {request.handed_out for request in stage.cvat.requests(stage.function_id)} == {1}


def test_there_is_one_function_and_one_agent(verdict: Verdict, stage: Stage) -> None:
    assert (verdict.functions, len(verdict.agents)) == (1, 1)
    assert agent_pod(stage.kubectl)["status"]["phase"] == "Running"
