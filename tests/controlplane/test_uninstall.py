"""What an uninstall does with trackers: deletes them in bounded time, or lets them go on alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sam2_operator import commands
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.api import GROUP
from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.harness import Namespace, Operator

pytestmark = pytest.mark.controlplane

HOOK_SECONDS = 240.0
DEADLINE_SECONDS = 600


def test_a_cvat_that_is_away_does_not_hold_an_uninstall_that_deletes(
    annotation: CVAT, namespace: Namespace, operator: Operator, api: KubeApi
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    with ThreadPoolExecutor(1) as executor:
        hook = executor.submit(commands.delete_trackers, api, [namespace.name], HOOK_SECONDS)
        wait_for(lambda: namespace.get("s2t", "cars")["metadata"].get("deletionTimestamp"), "the hook")
        operator.settle(namespace.name)
        assert namespace.exists("s2t", "cars"), "CVAT has its time"
        operator.clock.advance(0.8 * HOOK_SECONDS)
        wait_for(lambda: not operator.reconcile(namespace.name).exists, "the end")
        assert hook.result(timeout=30) == 0
    told = namespace.kubectl.get("-n", namespace.name, "events", "--field-selector", "reason=LeftBehind")
    assert len(told["items"]) == 1, "what stays in CVAT is told"
    assert situations.add("uninstall that deletes, CVAT away", Outcomes(converged=1)).good


def test_without_the_definition_there_is_nothing_to_delete(
    api: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "TRACKERS", f"/apis/{GROUP}/v9")
    assert commands.delete_trackers(api, [], HOOK_SECONDS) == 0


@pytest.mark.parametrize("said", ["1000", "soon", "-1"])
def test_nobody_makes_a_deletion_wait_longer_or_no_time_at_all(
    annotation: CVAT, namespace: Namespace, operator: Operator, said: str
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    annotations = {"sam2.dev/deletion-deadline-seconds": said}
    namespace.patch("s2t", "cars", {"metadata": {"annotations": annotations}})
    annotation.faults.drop_request("DELETE /api/functions/{id}", times=None)
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    operator.clock.advance(DEADLINE_SECONDS - 60)
    operator.settle(namespace.name)
    assert namespace.exists("s2t", "cars")
    operator.clock.advance(61)
    wait_for(lambda: not operator.reconcile(namespace.name).exists, "the end")


def test_a_released_tracker_is_taken_up_by_the_next_operator_where_it_is(
    annotation: CVAT, namespace: Namespace, operator: Operator, api: KubeApi
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    before = namespace.get("statefulset", "cars-agent")["metadata"]
    status = namespace.status()

    assert commands.release_trackers(api, [namespace.name], SystemClock()) == 0

    released = namespace.get("s2t", "cars")
    assert "finalizers" not in released["metadata"]
    told = released["status"]["conditions"]
    assert {(each["status"], each["reason"]) for each in told} == {("Unknown", "OperatorUninstalled")}
    assert {key: value for key, value in released["status"].items() if key != "conditions"} == {
        key: value for key, value in status.items() if key != "conditions"
    }
    operator.restart()
    operator.settle(namespace.name)
    after = namespace.get("statefulset", "cars-agent")["metadata"]
    assert (after["uid"], after["generation"]) == (before["uid"], before["generation"]), "the agent ran on"
    assert namespace.condition("FunctionRegistered")["reason"] == "Registered"
    assert namespace.get("s2t", "cars")["metadata"]["finalizers"] == ["sam2.dev/finalizer"]
    functions = len(annotation.functions())
    outcome = Outcomes(converged=int(functions == 1), duplicates=functions - 1)
    assert situations.add("uninstalled and installed again", outcome).good


def test_without_an_operator_a_released_tracker_goes_and_takes_its_agent_with_it(
    annotation: CVAT, namespace: Namespace, operator: Operator, api: KubeApi
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    commands.release_trackers(api, [namespace.name], SystemClock())
    namespace.delete("s2t", "cars", "--timeout=10s")
    wait_for(lambda: not namespace.exists("statefulset", "cars-agent"), "the garbage collector", within=60)
    assert situations.add("deleted after the operator's uninstall", Outcomes(converged=1)).good


def test_releasing_without_a_crd_or_trackers_is_done_at_once(api: KubeApi, namespace: Namespace) -> None:
    assert commands.release_trackers(api, [namespace.name], SystemClock()) == 0
    assert commands.release_trackers(api, ["no-such-namespace"], SystemClock()) == 0
