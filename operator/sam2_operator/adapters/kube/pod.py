"""The JSON of a pod, and of events about it, read into what the operator wants to know."""

from __future__ import annotations

from typing import Any

from sam2_operator.core.observed import Event, Manifest, Pod, Termination

_CONTAINER = "agent"


def pod_from(live: Manifest) -> Pod:
    """Read a pod with one container."""
    metadata, spec, status = live["metadata"], live.get("spec", {}), live.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    containers = status.get("containerStatuses", [])
    container: Manifest = next((each for each in containers if each.get("name") == _CONTAINER), {})
    state = container.get("state", {})
    scheduled = conditions.get("PodScheduled", {})
    # One of which a kubelet tells has found its node, whatever the scheduler said before.
    waits = not containers and scheduled.get("status") == "False"
    unschedulable = waits and scheduled.get("reason") == "Unschedulable"
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Pending"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        revision=metadata.get("labels", {}).get("controller-revision-hash", ""),
        node=spec.get("nodeName"),
        ip=status.get("podIP"),
        image=container.get("image") or _image(spec),
        deleted_at=metadata.get("deletionTimestamp"),
        restarts=container.get("restartCount", 0),
        running="running" in state,
        started=container.get("started", False),
        unschedulable=_sentence(scheduled.get("message", "")) if unschedulable else None,
        waiting=_waiting(state.get("waiting")),
        termination=_termination(state.get("terminated") or container.get("lastState", {}).get("terminated")),
        failure=_failure(status) if status.get("phase") == "Failed" else None,
    )


def event_from(live: Manifest) -> Event:
    """Read an event, whichever of the two ways of telling times it uses."""
    series = live.get("series") or {}
    at = (
        series.get("lastObservedTime")
        or live.get("lastTimestamp")
        or live.get("eventTime")
        or live["metadata"]["creationTimestamp"]
    )
    return Event(
        reason=live.get("reason", ""),
        message=_sentence(live.get("message", "")),
        about=live["involvedObject"].get("uid", ""),
        at=f"{at[:19]}Z",
    )


def _image(spec: Manifest) -> str | None:
    return next((each.get("image") for each in spec.get("containers", [])), None)


def _waiting(waiting: Manifest | None) -> tuple[str, str] | None:
    return (
        None if waiting is None else (waiting.get("reason", "Waiting"), _sentence(waiting.get("message", "")))
    )


def _termination(ended: dict[str, Any] | None) -> Termination | None:
    if ended is None:
        return None
    return Termination(
        exit_code=ended.get("exitCode", 0),
        reason=ended.get("reason", "Error"),
        message=ended.get("message", ""),
    )


def _failure(status: Manifest) -> tuple[str, str] | None:
    """Read the failure of the pod as a whole; one whose container ended tells more by that."""
    reason, message = status.get("reason", ""), status.get("message", "")
    return (reason, _sentence(message)) if reason or message else None


def _sentence(words: str) -> str:
    """End what somebody else said with a full stop."""
    words = words.strip()
    return words if not words or words.endswith((".", "!", "?")) else f"{words}."
