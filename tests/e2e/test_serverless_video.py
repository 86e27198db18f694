"""The main job for a CVAT without agents, on a real cluster: the chart's gateway and a serverless tracker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless import Dashboard, LambdaManager
from tests.demo.clips import Clip, synthetic
from tests.demo.door import GATEWAY, VALUES, DoorStage, calling, serverless_tracker
from tests.demo.install import NAMESPACE, SYSTEM, apply_tracker, install_chart, wait_for
from tests.demo.portforward import port_forward
from tests.demo.stage import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

KILL_AT, DELETE_AT = 8, 16
TRACKER = "door"


@pytest.fixture(scope="module")
def door(stage: Stage) -> Iterator[DoorStage]:
    """The release with its gateway, and a second tracker behind it; both are gone afterwards."""
    kubectl, images = stage.kubectl, stage.images
    install_chart(kubectl, images, *VALUES)
    try:
        apply_tracker(kubectl, serverless_tracker(TRACKER))
        wait_for(kubectl, f"sam2tracker/{TRACKER}", seconds=180)
        with calling(kubectl) as manager:
            yield DoorStage(kubectl, images, manager, TRACKER)
    finally:
        kubectl("--namespace", NAMESPACE, "delete", "s2t", TRACKER, "--ignore-not-found", "--timeout=120s")
        install_chart(kubectl, images)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return replace(synthetic(24), correction=None)


def test_every_shape_is_the_same_whatever_becomes_of_the_agent(
    door: DoorStage, clip: Clip, stage: Stage
) -> None:
    undisturbed = door.play(clip)
    session = door.play(clip, kill_at=KILL_AT, delete_at=DELETE_AT)

    assert [outage.frame for outage in session.outages] == [KILL_AT, DELETE_AT]
    assert session.shapes() == undisturbed.shapes()
    assert all(shape is not None for shapes in session.shapes()[:4] for shape in shapes)
    assert [each.id for each in stage.cvat.functions()] == [stage.function_id], "CVAT was told nothing"


def test_both_doors_give_the_same_shapes(door: DoorStage, clip: Clip, stage: Stage) -> None:
    assert door.play(clip).shapes() == stage.play(clip).shapes()


def test_who_does_not_know_the_secret_is_shown_nothing(door: DoorStage) -> None:
    assert door.function().kind == "tracker"
    with port_forward(door.kubectl, SYSTEM, GATEWAY, 8070) as url:
        stranger = LambdaManager(Dashboard(url))
        with pytest.raises(RunError) as refused:
            stranger.trackers()
    assert str(refused.value).startswith("401 Client Error: Only CVAT may call this gateway. for url: ")
