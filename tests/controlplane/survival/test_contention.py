"""Somebody else writes the tracker all the time: labels, annotations, status."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters.kube.answers import NotFoundError
from sam2_operator.adapters.kube.api import MERGE, KubeApi
from tests.controlplane import situations
from tests.controlplane.survival.scene import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.controlplane.survival.scene import Scene

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(600)]

PER_SECOND = 50
CALM = {"INTERVAL_SECONDS": "60", "AGENT_INTERVAL_SECONDS": "8"}


@contextmanager
def storm(api: KubeApi, namespace: str, name: str) -> Iterator[list[int]]:
    """Write a tracker fifty times a second while inside; gives a list that grows by one for each write."""
    path = f"/apis/sam2.dev/v1alpha1/namespaces/{namespace}/sam2trackers/{name}"
    written: list[int] = []
    over = threading.Event()

    def write() -> None:
        kinds = cycle(("labels", "annotations", "status"))
        due = time.monotonic()
        for number, kind in zip(count(), kinds, strict=False):
            told: dict[str, Any] = {"status": {"model": f"storm {number}"}}
            marked: dict[str, Any] = {"metadata": {kind: {"storm": str(number)}}}
            try:
                if kind == "status":
                    api.call("PATCH", f"{path}/status", body=told, content_type=MERGE)
                else:
                    api.call("PATCH", path, body=marked, content_type=MERGE)
                written.append(number)
            except NotFoundError:
                pass  # before it is made, and after its end
            due += 1 / PER_SECOND
            if over.wait(max(0.0, due - time.monotonic())):
                return

    writer = threading.Thread(target=write, name="storm")
    writer.start()
    try:
        yield written
    finally:
        over.set()
        writer.join()


def test_a_tracker_that_others_write_all_the_time_converges_and_costs_little(
    scene: Scene, api: KubeApi
) -> None:
    stranger = KubeApi.of(api.client.configuration)
    stranger.client.user_agent = "a-stranger"
    with scene.operating(CALM) as operator:
        with storm(stranger, scene.namespace.name, "cars") as written:
            scene.apply()
            scene.wait_for_tracker()
            until(lambda: scene.namespace.status().get("functionID"), "the function")
            uid = scene.uid("statefulset", "cars-agent")
            scene.namespace.delete("statefulset", "cars-agent")
            until(lambda: scene.uid("statefulset", "cars-agent") not in {None, uid}, "the repair")

            # Now nothing is left to do but to look, and to put the status right.
            writes, began, cpu = len(scene.writes()), time.monotonic(), operator.cpu_seconds()
            reconciles, storms = operator.reconciles(), len(written)
            until(lambda: len(written) >= storms + 8 * PER_SECOND, "eight seconds of the storm")
            seconds = time.monotonic() - began
            assert operator.reconciles() - reconciles < 2 + seconds
            assert len(scene.writes()) - writes < 6 + 8 * seconds
            assert operator.cpu_seconds() - cpu < 0.5 * seconds
        scene.comes_to_rest(operator, reconciles=1)
        until(lambda: "storm" not in scene.namespace.status().get("model", ""), "the status to be right")
        assert operator.lines("error") == []
        assert operator.lines("warning") == []
        assert scene.repeated_events() == []
        found = scene.outcomes("cars")
        with storm(stranger, scene.namespace.name, "cars"):
            scene.delete("cars")
    assert scene.cvat.functions() == []
    assert found.duplicates == 0
    assert situations.add("another writes the tracker 50 times a second", found).good
