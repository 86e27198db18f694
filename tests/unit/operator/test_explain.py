"""Why an agent is not available, and what is made of it in the conditions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sam2_operator.core.conditions import (
    Finding,
    agent_finding,
    conditions,
    function_finding,
    ready_finding,
    state_finding,
)
from sam2_operator.core.explain import explain
from sam2_operator.core.observed import AgentReport, Problem, Termination, Workload
from tests.unit.operator.build import NOW, pod, workload

SERVING = AgentReport(ready=True, reason="Serving", message="")
ENDED = Termination(
    exit_code=1, reason="Error", message='{"reason": "DeviceLost", "message": "The GPU is gone."}'
)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Workload(None, None, None), "WaitingForFunction"),
        (workload(None), "PodMissing"),
        (workload(None, creation_failure="quota"), "PodRefused"),
        (workload(pod(running=False, unschedulable="0/3 nodes.")), "Unschedulable"),
        (workload(pod(failure=("Evicted", "low on disk")), report=SERVING), "Evicted"),
        (workload(pod(deleted_at="2026-01-01T00:00:00Z"), report=SERVING), "Terminating"),
        (workload(pod(running=False, waiting=("ErrImagePull", "no"))), "ErrImagePull"),
        (
            workload(pod(running=False, waiting=("CrashLoopBackOff", "back-off"), termination=ENDED)),
            "DeviceLost",
        ),
        (workload(pod(termination=ENDED), report=SERVING), None),
        (workload(pod(revision="cars-agent-old"), report=SERVING), "RollingOut"),
        (workload(pod(), observed=1, report=SERVING), "RollingOut"),
        (workload(pod(running=False)), "Starting"),
        (workload(pod(ip=None)), "Starting"),
        (
            workload(pod(), report=AgentReport(ready=False, reason="LoadingModel", message="...")),
            "LoadingModel",
        ),
        (workload(pod(), report=SERVING), None),
    ],
)
def test_who_knows_best_explains(found: Workload, reason: str | None) -> None:
    problem = explain(found)
    assert (problem.reason if problem else None) == reason


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

    def told(finding: Finding, before: Any, now: Any) -> Any:
        (condition,) = conditions([finding], before, 3, now)
        return condition

    first = told(Finding("Ready", "False", "Starting", "a"), [], NOW)
    assert first.last_transition_time == "2026-01-01T12:00:00Z"
    second = told(Finding("Ready", "False", "LoadingModel", "b"), [first], later)
    assert (second.last_transition_time, second.reason) == (first.last_transition_time, "LoadingModel")
    third = told(Finding("Ready", "True", "Serving", "c"), [second], later)
    assert third.last_transition_time == "2026-01-01T13:00:00Z"
    assert third.observed_generation == 3
