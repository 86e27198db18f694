"""Connections that stay open and forward nothing: nobody tells the operator, and it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.survival.network import SilentProxy
from tests.controlplane.survival.scene import QUICK, until
from tests.samples import FULL

if TYPE_CHECKING:
    from tests.controlplane.survival.scene import Scene

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(900)]

QUICKLY = pytest.param(QUICK, 0.0, id="quick")
AT_LENGTH = pytest.param({}, 300.0, id="five-minutes")


@pytest.mark.parametrize(("pace", "seconds"), [QUICKLY, AT_LENGTH] if FULL else [QUICKLY])
def test_what_happens_while_all_connections_are_silent_is_noticed_over_new_ones(
    pace: dict[str, str], seconds: float, scene: Scene
) -> None:
    namespace = scene.namespace
    with SilentProxy.before(scene.cluster.kubeconfig).running() as proxy:
        kubeconfig = proxy.kubeconfig(scene.cluster.kubeconfig, scene.folder)
        with scene.operating(pace, kubeconfig) as operator:
            scene.apply()
            scene.wait_for_tracker()
            scene.comes_to_rest(operator)
            uid = scene.uid("statefulset", "cars-agent")

            # The watches and every connection that the pool keeps.
            assert proxy.silence() >= 3
            over = time.monotonic() + seconds
            namespace.delete("statefulset", "cars-agent")
            namespace.patch("s2t", "cars", {"spec": {"agent": {"image": "sam2-tracker-agent:new"}}})
            scene.apply("bikes")
            until(lambda: scene.uid("statefulset", "cars-agent") not in {None, uid}, "the repair")
            until(lambda: scene.image() == "sam2-tracker-agent:new", "the change")
            until(lambda: namespace.status("bikes").get("functionID"), "the new tracker")
            while time.monotonic() < over:
                assert operator.get("/livez")[0] == 200
                time.sleep(1)

            # Now nothing comes through at all: that is no fault of the operator, and its liveness says so.
            proxy.silence(new_ones_too=True)
            namespace.delete("statefulset", "cars-agent")
            until(lambda: "did not answer" in operator.log(), "a sentence about it")
            assert operator.get("/livez")[0] == 200

            # What was held back comes through as well, late: old requests onto a new state.
            proxy.speak()
            until(lambda: scene.uid("statefulset", "cars-agent"), "the repair")
            namespace.patch("s2t", "bikes", {"spec": {"suspend": True}})
            until(lambda: namespace.reason("bikes") == "Suspended", "the change")
            scene.comes_to_rest(operator)
            assert scene.image() == "sam2-tracker-agent:new"
            assert scene.repeated_events() == []
            assert operator.lines("error") == []
            found = scene.outcomes("cars", "bikes")
            scene.delete("cars", "bikes")
    assert scene.cvat.functions() == []
    assert operator.process.returncode == 0
    assert found.duplicates == 0
    assert situations.add("connections to the API server silent", found).good
