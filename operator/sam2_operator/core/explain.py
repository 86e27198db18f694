"""Why the agent is not available, in the words of whoever knows: scheduler, kubelet, API server or agent.

A chain of small checks, from what stops a pod earliest to what stops it last; the first that applies
explains.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

from sam2_operator.core import pod_events
from sam2_operator.core.observed import Pod, Problem, Termination, Workload

Check: TypeAlias = Callable[[Workload], Problem | None]

_ADVICE = {
    "ErrImagePull": "Check spec.agent.image and spec.agent.imagePullSecrets.",
    "ImagePullBackOff": "Check spec.agent.image and spec.agent.imagePullSecrets.",
    "InvalidImageName": "Correct spec.agent.image.",
    "ErrImageNeverPull": "Load the image onto the node, or set spec.agent.imagePullPolicy to IfNotPresent.",
    "CreateContainerConfigError": "Check the Secrets and ConfigMaps that spec.agent.env names.",
}

_STARTING = frozenset({"Starting", "LoadingModel"})
"""What is said of every agent that starts."""


def explain(workload: Workload) -> Problem | None:
    """Say why the agent is not available; None if it is."""
    return next((problem for check in _CHECKS if (problem := check(workload)) is not None), None)


def _no_stateful_set(workload: Workload) -> Problem | None:
    if workload.stateful_set is not None:
        return None
    return Problem("WaitingForFunction", "The agent starts when the condition FunctionRegistered is true.")


def _not_created(workload: Workload) -> Problem | None:
    if workload.pod is not None:
        return None
    if workload.stateful_set is not None and workload.stateful_set["metadata"].get("deletionTimestamp"):
        message = "The agent's StatefulSet is being deleted; once it is gone, it and the pod are made anew."
        return Problem("PodMissing", message)
    refusal = pod_events.not_made(workload.events)
    if refusal is not None:
        return Problem(
            "PodRefused",
            f"The agent's pod cannot be made: {refusal.message} It is tried again, less and less often; to "
            "have it tried at once after a change, set spec.suspend to true and back.",
        )
    return _refused_before(workload) or Problem("PodMissing", "The agent's pod is about to be made.")


def _refused_before(workload: Workload) -> Problem | None:
    """Explain a pod that its node did not keep, by what was told about those before it."""
    refusal = pod_events.not_admitted(workload.events)
    return None if refusal is None else _refused(refusal.reason, refusal.message)


def _refused(reason: str, message: str) -> Problem:
    return Problem(
        reason,
        f"The agent's node does not keep the pod: {message} See to that node and its device plugins, or "
        "change spec.agent.resources or nodeSelector.",
    )


def _outdated(workload: Workload) -> Problem | None:
    if workload.current:
        return None
    return Problem("RollingOut", "The agent is being replaced by one with the current settings.")


def _node_lost(workload: Workload) -> Problem | None:
    """Explain a pod that its node's silence leaves as it was; the agent on it may be dead, or go on."""
    pod = workload.pod
    if pod is None or not pod_events.node_is_lost(pod, workload.report, workload.events):
        return None
    return Problem(
        "NodeNotReady",
        f"Node {pod.node} of the pod {pod.name} does not answer. With spec.agent.onNodeLoss Replace, and "
        "volumes that other nodes can mount too, another agent takes over in a minute or two; else the agent "
        "comes back with its node, or once that is removed from the cluster "
        f"(kubectl delete node {pod.node}).",
    )


def _terminating(workload: Workload) -> Problem | None:
    pod = workload.pod
    if pod is None or pod.deleted_at is None:
        return None
    where = f" on node {pod.node}" if pod.node else ""
    return Problem(
        "Terminating",
        f"The pod {pod.name}{where} is shutting down; another follows. If this lasts, the node may be lost: "
        "remove it from the cluster, or set spec.agent.onNodeLoss to Replace.",
    )


def _failed(workload: Workload) -> Problem | None:
    pod = workload.pod
    if pod is None or pod.failure is None:
        return None
    reason, message = pod.failure
    if pod_events.NOT_ADMITTED.fullmatch(reason):
        return _refused(reason, message)
    return Problem(reason or "PodFailed", f"The pod {pod.name} failed: {message or reason}")


def _unschedulable(workload: Workload) -> Problem | None:
    pod = workload.pod
    if pod is None or pod.running or pod.unschedulable is None:
        return None
    advice = "Add a node, or change spec.agent.resources, nodeSelector, tolerations or affinity."
    if "persistentvolume" in pod.unschedulable.lower():
        advice = "Make the claim or its volume, or correct spec.model.volume or spec.model.cache."
    return Problem("Unschedulable", f"No node takes the pod {pod.name}: {pod.unschedulable} {advice}")


def _crashed(workload: Workload) -> Problem | None:
    """Explain a container that ended; the kubelet itself says no more than CrashLoopBackOff."""
    pod = workload.pod
    if pod is None or pod.running or pod.termination is None:
        return None
    return _ending(pod, pod.termination)


def _waiting(workload: Workload) -> Problem | None:
    pod = workload.pod
    if pod is None or pod.waiting is None:
        return None
    reason, message = pod.waiting
    if reason in pod_events.CREATING:
        obstacle = pod_events.obstacle(pod, workload.events)
        if obstacle is not None:
            told = f"The pod {pod.name} cannot start on node {pod.node}: {obstacle.message}"
            return Problem(obstacle.reason, f"{told} {pod_events.OBSTACLES[obstacle.reason]}")
        return Problem(
            "Starting",
            f"Node {pod.node} pulls the image and mounts the volumes of {pod.name}. {message}".strip(),
        )
    return Problem(
        reason, f"{message or f'The pod {pod.name} waits: {reason}.'} {_ADVICE.get(reason, '')}".strip()
    )


def _not_running(workload: Workload) -> Problem | None:
    pod = workload.pod
    if pod is None or pod.running:
        return None
    return _refused_before(workload) or Problem("Starting", f"The pod {pod.name} is about to start.")


def _starts_again(workload: Workload) -> Problem | None:
    """Explain an agent that has not come up since it ended by how it ended: it may end so again."""
    pod, report = workload.pod, workload.report
    if pod is None or pod.started or pod.termination is None or pod.termination.exit_code == 0:
        return None
    if report is not None and (report.ready or report.reason not in _STARTING):
        return None
    return _ending(pod, pod.termination)


def _agent_says(workload: Workload) -> Problem | None:
    report = workload.report
    if report is None:
        return Problem("Starting", "The agent has no address yet.")
    return None if report.ready else Problem(report.reason, report.message)


_CHECKS: tuple[Check, ...] = (
    _no_stateful_set,
    _not_created,
    _failed,
    _node_lost,
    _terminating,
    _unschedulable,
    _crashed,
    _waiting,
    _outdated,
    _not_running,
    _starts_again,
    _agent_says,
)


def _ending(pod: Pod, termination: Termination) -> Problem:
    said = _agents_words(termination.message)
    times = f" It was restarted {pod.restarts} times." if pod.restarts > 1 else ""
    if said is not None:
        return Problem(said.reason, said.message + times)
    if termination.reason == "OOMKilled":
        return Problem(
            "OOMKilled",
            f"The agent used more memory than it may: raise spec.agent.resources.limits.memory.{times}",
        )
    last = termination.message.strip().splitlines()[-1:] or [f"see kubectl logs --previous {pod.name}"]
    return Problem(
        "AgentCrashed",
        f"The agent ended with status {termination.exit_code} ({termination.reason}): {last[0]}.{times}",
    )


def _agents_words(message: str) -> Problem | None:
    """Read the termination message of an agent that gave up: {"reason": ..., "message": ...}."""
    try:
        said = json.loads(message)
    except ValueError:
        return None
    if not isinstance(said, dict) or not all(isinstance(said.get(key), str) for key in ("reason", "message")):
        return None
    reason = "".join(character for character in said["reason"] if character.isalnum())
    return Problem(reason or "AgentCrashed", said["message"])
