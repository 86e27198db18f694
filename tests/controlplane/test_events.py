"""Events: one for each transition, however long it comes and goes, and no secrets in any."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.controlplane.admission import forbidden
from tests.controlplane.agents import container_status, running

if TYPE_CHECKING:
    from tests.controlplane.agents import SpeakingAgent
    from tests.controlplane.harness import Namespace, Operator
    from tests.cvat_standin.client import CVAT

pytestmark = pytest.mark.controlplane

CRASHES = 5


def told(namespace: Namespace) -> list[dict[str, Any]]:
    """The tracker's events, oldest first."""
    about = "involvedObject.kind=SAM2Tracker"
    events = namespace.kubectl.get("-n", namespace.name, "events", "--field-selector", about)["items"]
    return sorted(events, key=lambda event: int(event["metadata"]["resourceVersion"]))


def reasons(namespace: Namespace) -> list[str]:
    return [event["reason"] for event in told(namespace)]


def test_transitions_are_events(annotation: CVAT, namespace: Namespace, operator: Operator) -> None:
    namespace.apply_tracker("http://127.0.0.1:9")
    operator.settle(namespace.name, times=5)
    (event,) = told(namespace)
    assert (event["type"], event["reason"]) == ("Warning", "CVATUnreachable")
    assert event["message"] == namespace.condition("Ready")["message"]


def test_what_comes_and_goes_all_night_is_told_once_an_hour(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    crashed = running(serving.address, ready=False)
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "ValueError: no"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    for restarts in range(1, CRASHES + 1):
        status = container_status(waiting, restarts=restarts, last=ended)
        namespace.pod_status({**crashed, "containerStatuses": [status]})
        operator.reconcile(namespace.name)
        namespace.pod_status(running(serving.address))
        operator.reconcile(namespace.name)
    seen = reasons(namespace)
    assert seen.count("AgentCrashed") == 1
    assert seen.count("Serving") == 1

    operator.clock.advance(3601)
    namespace.pod_status({**crashed, "containerStatuses": [container_status(waiting, last=ended)]})
    operator.reconcile(namespace.name)
    assert reasons(namespace).count("AgentCrashed") == 2


def test_an_agent_that_crashes_whenever_it_starts_has_one_reason_all_the_time(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    serving.says(ready=False, reason="LoadingModel", message="...")
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "ValueError: no"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    begun = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    crashed, seen = running(serving.address, ready=False), []
    for state in (waiting, begun, waiting, begun):
        status = container_status(state, restarts=1, last=ended)
        namespace.pod_status({**crashed, "containerStatuses": [status]})
        operator.reconcile(namespace.name)
        seen.append((namespace.reason(), namespace.condition("Ready")["lastTransitionTime"]))
    assert set(seen) == {("AgentCrashed", seen[0][1])}


def test_what_could_not_be_told_is_told_the_next_time(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    probe = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "probe", "namespace": namespace.name},
        "involvedObject": {"namespace": namespace.name},
    }
    with forbidden(namespace, "events", "No events here.", probe):
        serving.says(ready=False, reason="AccessDenied", message="No.")
        operator.reconcile(namespace.name)
        assert namespace.reason() == "AccessDenied"
        assert "AccessDenied" not in reasons(namespace)
    serving.says(ready=True, reason="Serving", message="The agent serves.")
    operator.reconcile(namespace.name)
    serving.says(ready=False, reason="AccessDenied", message="No.")
    operator.reconcile(namespace.name)
    assert reasons(namespace).count("AccessDenied") == 1


def test_whatever_an_agent_says_becomes_a_condition_and_an_event(
    annotation: CVAT, namespace: Namespace, operator: Operator, serving: SpeakingAgent
) -> None:
    serving.says(ready=False, reason="", message="")
    operator.reconcile(namespace.name)
    assert (namespace.condition("Ready")["status"], namespace.reason()) == ("False", "Unknown")
    serving.says(ready=False, reason="no such thing: " * 40, message="words " * 2000)
    operator.reconcile(namespace.name)
    assert namespace.condition("Ready")["message"].endswith(" ...")
    assert all(re.fullmatch(r"[A-Za-z]\w{0,127}", reason) for reason in reasons(namespace))


def test_no_event_holds_a_secret(cvat: CVAT, namespace: Namespace, operator: Operator) -> None:
    cvat.add_user("ann")
    namespace.make_secret("cvat", username="ann", password="hunter2-wrong")
    namespace.make_secret("redis", url="redis://me:hunter2-redis@127.0.0.1:9/0")
    namespace.apply_tracker(cvat.url, state={"secretRef": {"name": "redis"}})
    operator.settle(namespace.name)
    namespace.make_secret("cvat", token="hunter2-token")
    operator.settle(namespace.name)
    namespace.delete("s2t", "cars", "--wait=false")
    operator.settle(namespace.name)
    events = told(namespace)
    assert events
    assert "hunter2" not in json.dumps(events)
