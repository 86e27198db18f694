"""Why an agent is not available, and what is made of it in the conditions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sam2_operator.core import pod_events
from sam2_operator.core.conditions import (
    Finding,
    agent_finding,
    conditions,
    function_finding,
    ready_finding,
    state_finding,
)
from sam2_operator.core.explain import explain
from sam2_operator.core.observed import AgentReport, Event, Pod, Problem, Termination, Workload
from tests.unit.operator.build import NOW, pod, workload

SERVING = AgentReport(ready=True, reason="Serving", message="")
LOADING = AgentReport(ready=False, reason="LoadingModel", message="...")
REFUSED = AgentReport(ready=False, reason="CredentialsRefused", message="...")
STOPPED = Termination(exit_code=0, reason="Completed", message="")
ENDED = Termination(
    exit_code=1, reason="Error", message='{"reason": "DeviceLost", "message": "The GPU is gone."}'
)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Workload(None, None, None), "WaitingForFunction"),
        (workload(None), "PodMissing"),
        (workload(pod(running=False, unschedulable="0/3 nodes.")), "Unschedulable"),
        (workload(pod(failure=("Evicted", "low on disk")), report=SERVING), "Evicted"),
        (workload(pod(deleted_at="2026-01-01T00:00:00Z"), report=SERVING), "Terminating"),
        (workload(pod(running=False, waiting=("ErrImagePull", "no"))), "ErrImagePull"),
        (
            workload(pod(running=False, waiting=("CrashLoopBackOff", "back-off"), termination=ENDED)),
            "DeviceLost",
        ),
        (workload(pod(termination=ENDED), report=SERVING), None),
        (workload(pod(termination=ENDED), report=LOADING), "LoadingModel"),
        (workload(pod(started=False, termination=ENDED), report=LOADING), "DeviceLost"),
        (workload(pod(started=False, termination=ENDED), report=REFUSED), "CredentialsRefused"),
        (workload(pod(started=False, termination=STOPPED), report=LOADING), "LoadingModel"),
        (workload(pod(started=False), report=LOADING), "LoadingModel"),
        (workload(pod(revision="cars-agent-old"), report=SERVING), "RollingOut"),
        (workload(pod(), observed=1, report=SERVING), "RollingOut"),
        (workload(pod(running=False)), "Starting"),
        (workload(pod(ip=None)), "Starting"),
        (workload(pod(), report=LOADING), "LoadingModel"),
        (workload(pod(), report=SERVING), None),
    ],
)
def test_who_knows_best_explains(found: Workload, reason: str | None) -> None:
    problem = explain(found)
    assert (problem.reason if problem else None) == reason


def test_of_a_stateful_set_that_goes_no_pod_is_to_be_expected() -> None:
    there = workload(None, events=(told("FailedCreate", 1, "exceeded quota: gpus.", about="sts"),))
    assert there.stateful_set is not None
    metadata = {**there.stateful_set["metadata"], "deletionTimestamp": "2026-01-01T12:00:00Z"}
    problem = explain(replace(there, stateful_set={**there.stateful_set, "metadata": metadata}))
    assert problem is not None
    assert problem.reason == "PodMissing"
    assert "StatefulSet is being deleted" in problem.message


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ('{"reason": "ModelInvalid", "message": "No."}', ("ModelInvalid", "No.")),
        (
            '{"reason": 1, "message": "No."}',
            ("AgentCrashed", 'status 1 (Error): {"reason": 1, "message": "No."}.'),
        ),
        ("", ("AgentCrashed", "see kubectl logs --previous cars-agent-0")),
        ("Traceback\nKeyError: 'x'\n", ("AgentCrashed", "KeyError: 'x'")),
    ],
)
def test_last_words(message: str, told: tuple[str, str]) -> None:
    ended = pod(running=False, termination=Termination(exit_code=1, reason="Error", message=message))
    problem = explain(workload(ended))
    assert problem is not None
    assert problem.reason == told[0]
    assert told[1] in problem.message


FINE = (function_finding(7, None, []), state_finding(None), agent_finding(None, suspended=False))
LATE = Problem("CVATUnreachable", "CVAT does not answer.")


def ready(
    function: Problem | None = None, state: Problem | None = None, agent: Problem | None = None
) -> Finding:
    return ready_finding(
        function_finding(7, function, []),
        state_finding(state),
        agent_finding(agent, suspended=False),
        suspended=False,
    )


@pytest.mark.parametrize(
    ("problems", "status", "reason"),
    [
        ({}, "True", "Serving"),
        ({"function": LATE}, "True", "Serving"),
        ({"state": Problem("RedisUnreachable", "")}, "True", "Serving"),
        ({"function": Problem("FunctionNotFound", "")}, "False", "FunctionNotFound"),
        ({"agent": Problem("Unschedulable", "")}, "False", "Unschedulable"),
        ({"function": LATE, "agent": Problem("CVATUnreachable", "x")}, "False", "CVATUnreachable"),
        ({"state": Problem("RedisRefused", ""), "agent": Problem("Starting", "")}, "False", "RedisRefused"),
    ],
)
def test_ready_is_what_the_agent_says_unless_the_function_is_not_there(
    problems: dict[str, Problem], status: str, reason: str
) -> None:
    found = ready(**problems)
    assert (found.status, found.reason) == (status, reason)


def told(reason: str, second: int, message: str = "Words.", *, about: str = "pod-1") -> Event:
    """An event of that second of the minute; about the pod of `build.pod` unless said otherwise."""
    return Event(reason, message, about, f"2026-01-01T12:00:{second:02}Z")


CREATING = pod(running=False, ready=False, ip=None, waiting=("ContainerCreating", ""))
BOUND = pod(running=False, ready=False, ip=None)
LOST = pod(ready=False)
SILENT = AgentReport(ready=False, reason="AgentUnreachable", message="No answer.")
SECRET = 'MountVolume.SetUp failed for volume "token" : secret "hub" not found.'
# The kubelet's words where a device plugin refuses.
DEVICE = (
    "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, "
    "Available: 0, which is unexpected."
)


@pytest.mark.parametrize(
    ("agent", "report", "events", "reason", "words"),
    [
        (
            None,
            None,
            [told("FailedCreate", 1, "exceeded quota: gpus.", about="sts")],
            "PodRefused",
            "quota: gpus",
        ),
        (
            None,
            None,
            [told("FailedCreate", 1), told("SuccessfulCreate", 2)],
            "PodMissing",
            "about to be made",
        ),
        (
            None,
            None,
            [told("UnexpectedAdmissionError", 1, DEVICE)],
            "UnexpectedAdmissionError",
            "device plugins",
        ),
        (
            BOUND,
            None,
            [told("UnexpectedAdmissionError", 1, DEVICE, about="old")],
            "UnexpectedAdmissionError",
            DEVICE,
        ),
        (
            BOUND,
            None,
            [told("Evicted", 1, about="old"), told("Started", 1, about="old")],
            "Starting",
            "about to",
        ),
        (CREATING, None, [], "Starting", "pulls the image"),
        (CREATING, None, [told("FailedMount", 1, SECRET)], "FailedMount", SECRET),
        (
            CREATING,
            None,
            [told("FailedMount", 1), told("FailedAttachVolume", 2)],
            "FailedAttachVolume",
            "held by",
        ),
        (CREATING, None, [told("FailedMount", 1), told("Pulling", 1)], "Starting", "pulls the image"),
        (CREATING, None, [told("FailedMount", 1, about="old")], "Starting", "pulls the image"),
        (CREATING, None, [told("UnexpectedAdmissionError", 1, about="old")], "Starting", "pulls the image"),
        (
            CREATING,
            None,
            [told("FailedCreatePodSandBox", 1, "no IP.")],
            "FailedCreatePodSandBox",
            "no IP. The node's",
        ),
        (
            LOST,
            SILENT,
            [told("NodeNotReady", 1), told("Started", 0)],
            "NodeNotReady",
            "kubectl delete node node-1",
        ),
        (LOST, SILENT, [told("NodeNotReady", 1), told("Started", 2)], "AgentUnreachable", "No answer."),
        (LOST, LOADING, [told("NodeNotReady", 1)], "LoadingModel", "..."),
        (pod(), SERVING, [told("NodeNotReady", 1)], None, ""),
        (
            pod(deleted_at="2026-01-01T12:00:30Z"),
            SERVING,
            [told("NodeNotReady", 1)],
            "NodeNotReady",
            "onNodeLoss",
        ),
        (pod(deleted_at="2026-01-01T12:00:30Z"), SERVING, [], "Terminating", "shutting down"),
    ],
)
def test_events_tell_what_a_pod_does_not(
    agent: Pod | None, report: AgentReport | None, events: list[Event], reason: str | None, words: str
) -> None:
    found = workload(agent, report=report, events=tuple(events))
    problem = explain(found)
    assert (problem.reason if problem else None) == reason
    assert words in (problem.message if problem else "")
    assert problem is None or not events or reason == "LoadingModel" or pod_events.matter(agent, report)


@pytest.mark.parametrize(
    "agent",
    [
        pod(running=False, waiting=("ErrImagePull", "no")),
        pod(running=False, node=None, unschedulable="0/3 nodes."),
        pod(),
    ],
)
def test_events_are_not_asked_for_where_the_pod_or_the_agent_tells_all(agent: Pod) -> None:
    assert not pod_events.matter(agent, SERVING if agent.running else None)


def test_an_unknown_function_is_false_until_there_was_one() -> None:
    assert function_finding(7, LATE, []).status == "Unknown"
    assert function_finding(None, LATE, []).status == "False"


def test_an_unknown_function_that_is_not_the_one_wanted_now_makes_nothing_ready() -> None:
    unasked = function_finding(7, LATE, [], wanted=False)
    assert unasked.status == "False"
    _, state, agent = FINE
    told = ready_finding(unasked, state, agent, suspended=False)
    assert (told.status, told.reason) == ("False", "CVATUnreachable")


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        ("", "", ("Unknown", "Nothing more is known.")),
        ("out of memory!", "No more", ("outofmemory", "No more.")),
        ("9Lives", "  Why?\n", ("Lives", "Why?")),
        ("X" * 300, "y" * 9000, ("X" * 128, f"{'y' * 2044} ...")),
    ],
)
def test_whatever_an_agent_says_the_api_server_takes_it(
    reason: str, message: str, told: tuple[str, str]
) -> None:
    (condition,) = conditions([Finding("Ready", "False", reason, message)], [], 1, NOW)
    assert (condition.reason, condition.message) == told


def test_suspended_is_not_ready_whatever_else_holds() -> None:
    function, state, agent = FINE
    assert ready_finding(function, state, agent, suspended=True).reason == "Suspended"
    assert agent_finding(None, suspended=True).status == "False"


def test_the_time_of_a_condition_is_that_of_its_last_change_of_status() -> None:
    later = NOW + timedelta(hours=1)

    def timed(finding: Finding, before: Any, now: Any) -> Any:
        (condition,) = conditions([finding], before, 3, now)
        return condition

    first = timed(Finding("Ready", "False", "Starting", "a"), [], NOW)
    assert first.last_transition_time == "2026-01-01T12:00:00Z"
    second = timed(Finding("Ready", "False", "LoadingModel", "b"), [first], later)
    assert (second.last_transition_time, second.reason) == (first.last_transition_time, "LoadingModel")
    third = timed(Finding("Ready", "True", "Serving", "c"), [second], later)
    assert third.last_transition_time == "2026-01-01T13:00:00Z"
    assert third.observed_generation == 3
