"""The tracker's conditions, from what was found out about its parts.

Ready is what users wait for: an agent of the current settings held its lease, and CVAT and Redis answered it,
within the last 30 seconds. The other conditions tell what the operator itself found; where it could not find
out, they are Unknown, and an agent that serves stays Ready.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sam2_operator.api.status import Condition, ConditionType
from sam2_operator.core.timestamps import text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sam2_operator.core.observed import ConditionStatus, Problem

MAX_MESSAGE = 2048
MAX_REASON = 128

_NOT_IN_A_WORD = re.compile(r"[^A-Za-z0-9_]|^[^A-Za-z]+")

UNDECIDED_REASONS = frozenset({"CVATUnreachable", "NotCVAT", "RateLimited", "CredentialsRefused"})
"""Problems that leave open whether the function is there."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition before it has a time."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str


def function_finding(
    function_id: int | None, problem: Problem | None, duplicates: Iterable[int], *, wanted: bool = True
) -> Finding:
    """Tell about the function in CVAT.

    Where CVAT cannot be asked, a function that was there may still be; but only one that is `wanted`, such as
    the spec now asks for: the agent that serves another one does not make the tracker ready.
    """
    kind: Literal["FunctionRegistered"] = "FunctionRegistered"
    if problem is not None:
        known = function_id is not None and wanted and problem.reason in UNDECIDED_REASONS
        return Finding(kind, "Unknown" if known else "False", problem.reason, problem.message)
    extra = ", ".join(str(each) for each in duplicates)
    if extra:
        return Finding(
            kind,
            "True",
            "DuplicateFunctions",
            f"Function {function_id} is served. CVAT has others that look like it and cannot be proven to be "
            f"this tracker's: {extra}. Delete them in CVAT unless somebody else made them.",
        )
    return Finding(kind, "True", "Registered", f"Function {function_id} is registered in CVAT.")


def gateway_finding(name: str, problem: Problem | None) -> Finding:
    """Tell about a serverless tracker's function: it is nowhere but in what the gateway tells CVAT."""
    if problem is not None:
        return Finding("FunctionRegistered", "False", problem.reason, problem.message)
    message = f"A gateway that selects it shows it to CVAT as the function {name} while it is ready."
    return Finding("FunctionRegistered", "True", "Serverless", message)


def state_finding(problem: Problem | None) -> Finding:
    """Tell about Redis."""
    if problem is not None:
        return Finding("StateStoreReachable", "False", problem.reason, problem.message)
    return Finding("StateStoreReachable", "True", "Reachable", "Redis answers.")


def agent_finding(problem: Problem | None, *, suspended: bool) -> Finding:
    """Tell about the agent."""
    if suspended:
        return Finding(
            "AgentAvailable", "False", "Suspended", "The agent is stopped because spec.suspend is true."
        )
    if problem is not None:
        return Finding("AgentAvailable", "False", problem.reason, problem.message)
    return Finding("AgentAvailable", "True", "Serving", "The agent serves.")


def ready_finding(function: Finding, state: Finding, agent: Finding, *, suspended: bool) -> Finding:
    """Sum up: whether annotators are served now and, if not, the first thing to do about it."""
    if suspended:
        return Finding("Ready", "False", "Suspended", "Set spec.suspend to false to start the agent.")
    if function.status == "False":
        return Finding("Ready", "False", function.reason, function.message)
    if agent.status == "True":
        return Finding("Ready", "True", "Serving", "The agent serves annotators.")
    for part in (function, state, agent):
        if part.status != "True":
            return Finding("Ready", "False", part.reason, part.message)
    return Finding("Ready", "False", agent.reason, agent.message)


def deleting_findings(message: str) -> tuple[Finding, ...]:
    """Tell about a tracker that is being deleted; nothing else about it matters any more."""
    return (
        Finding("Ready", "False", "Deleting", message),
        Finding("AgentAvailable", "False", "Deleting", "The agent stops: the tracker is being deleted."),
    )


def conditions(
    findings: Iterable[Finding], previous: Iterable[Condition], generation: int, now: datetime
) -> list[Condition]:
    """Give the findings their times: that of the last change of status, or now."""
    before = {condition.type: condition for condition in previous}
    result = []
    for finding in findings:
        old = before.get(finding.type)
        since = old.last_transition_time if old is not None and old.status == finding.status else text(now)
        result.append(
            Condition(
                type=finding.type,
                status=finding.status,
                observed_generation=generation,
                last_transition_time=since,
                reason=word(finding.reason) or "Unknown",
                message=sentence(finding.message),
            )
        )
    return result


def withdrawn(told: Iterable[Condition], generation: int, now: datetime) -> list[Condition]:
    """Give the conditions without the claim to be ready, of a tracker that will have another function.

    Until its agent serves that one, whoever waits for Ready must go on waiting.
    """
    message = "The function in CVAT is being replaced."
    instead = Finding("Ready", "False", "Registering", message)
    before = list(told)
    return [
        conditions([instead], before, generation, now)[0]
        if each.type == "Ready" and each.status == "True"
        else each
        for each in before
    ]


def word(reason: str) -> str:
    """Give what the API server takes of a reason, maybe nothing: an agent or a kubelet may say anything."""
    return _NOT_IN_A_WORD.sub("", reason)[:MAX_REASON]


def sentence(words: str) -> str:
    """End with a full stop what somebody else said, and cut what is too long."""
    words = words.strip() or "Nothing more is known"
    if len(words) > MAX_MESSAGE:
        return f"{words[: MAX_MESSAGE - 4].rstrip()} ..."
    return words if words.endswith((".", "!", "?")) else f"{words}."
