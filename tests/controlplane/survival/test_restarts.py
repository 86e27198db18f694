"""The API server goes and comes back; the operator is told to end in the middle of its work."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.controlplane.survival.scene import QUICK, SELDOM, until
from tests.samples import FULL

if TYPE_CHECKING:
    from tests.controlplane.operating import OperatorProcess
    from tests.controlplane.survival.scene import Scene

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(600)]

GRACE_SECONDS = 30
"""What the chart's pod is given to end."""


def test_an_api_server_that_restarts_is_waited_for(scene: Scene) -> None:
    plane = scene.cluster.plane
    with scene.operating(QUICK) as operator:
        scene.apply()
        scene.wait_for_tracker()
        uid = scene.uid("statefulset", "cars-agent")

        plane.processes.stop("kube-apiserver")
        try:
            failed = operator.reconciles("error")
            until(lambda: operator.reconciles("error") > failed + 1, "reconciles that fail")
            assert operator.get("/livez")[0] == 200  # to fail and to try again is progress
            until(lambda: operator.get("/readyz")[0] == 503, "the operator to say that it is blind")
            assert "did not answer" in operator.get("/readyz")[1]
        finally:
            plane.start()

        scene.namespace.delete("statefulset", "cars-agent")
        scene.apply("bikes")
        until(lambda: scene.uid("statefulset", "cars-agent") not in {None, uid}, "the repair")
        scene.wait_for_tracker("bikes")
        until(lambda: operator.get("/readyz")[0] == 200, "the operator to be ready")
        scene.comes_to_rest(operator)
        assert operator.lines("error") == []
        told = [line["message"] for line in operator.lines("warning")]
        assert len(told) < 12, told  # each lasting failure once, not each try
        assert scene.repeated_events() == []
        found = scene.outcomes("cars", "bikes")
        scene.delete("cars", "bikes")
    assert operator.process.returncode == 0
    assert found.duplicates == 0
    assert situations.add("API server restarted", found).good


MOMENTS = ("POST /api/functions", "GET /api/users/self", "GET /api/functions", "DELETE /api/functions/{id}")


@pytest.mark.parametrize("route", MOMENTS if FULL else MOMENTS[:1])
def test_an_operator_told_to_end_while_cvat_answers_leaves_the_rest_to_the_next(
    scene: Scene, route: str
) -> None:
    stalled = scene.cvat.faults.stall(route, when="after")
    with scene.operating(QUICK) as operator:
        scene.apply()
        if route.startswith("DELETE"):
            scene.wait_for_tracker()
            scene.namespace.delete("s2t", "cars", "--wait=false")
        until(lambda: stalled.taken, f"CVAT to be asked {route}")
        assert operator.terminate(GRACE_SECONDS) == 0
    stalled.clear()
    with scene.operating(QUICK) as heir:
        if not route.startswith("DELETE"):
            scene.wait_for_tracker()
            until(lambda: scene.namespace.status().get("functionID"), "the function")
            scene.comes_to_rest(heir)
            found = scene.outcomes("cars")
            scene.delete("cars")
        else:
            until(lambda: not scene.namespace.exists("s2t", "cars"), "the end")
            left = len(scene.cvat.functions())
            found = Outcomes(converged=int(left == 0), orphans=left)
    assert scene.cvat.functions() == []
    assert found.duplicates == 0
    assert situations.add("operator evicted in the middle", found).good


def has_begun(operator: OperatorProcess, earlier: int) -> bool:
    """Whether it has applied something, or ended a reconcile; its log began with its predecessors'."""
    return operator.log().count("applying") > earlier or operator.reconciles() > 0


def test_operators_that_are_ended_as_soon_as_they_are_ready_get_on(scene: Scene) -> None:
    """Create and change, with an operator that never lives for long."""
    codes, lives = [], 9 if FULL else 2
    stories = [
        scene.apply,
        lambda: scene.apply(agent={"image": "sam2-tracker-agent:new"}),
        lambda: scene.apply(function={"shapeTypes": ["mask"]}),
    ]
    for story in (stories * lives)[:lives]:
        with scene.operating(QUICK) as operator:
            earlier = operator.log().count("applying")  # by those that lived before
            teller = threading.Thread(target=story)
            teller.start()
            until(partial(has_begun, operator, earlier), "the operator to begin")
            codes.append(operator.terminate(GRACE_SECONDS))
            teller.join()
    assert set(codes) == {0}
    with scene.operating(SELDOM) as last:
        scene.wait_for_tracker()
        until(lambda: scene.namespace.status().get("functionID"), "the function")
        # One that was replaced goes when no agent serves it any more.
        until(lambda: len(scene.cvat.functions()) == 1, "the function to be the only one")
        found = scene.outcomes("cars")
        scene.delete("cars")
    assert last.process.returncode == 0
    assert found.duplicates == 0
    assert scene.cvat.functions() == []
    assert situations.add("operator restarted again and again", found).good
