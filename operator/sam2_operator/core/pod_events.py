"""What events tell about an agent's pod that the pod itself does not.

A kubelet that cannot mount a volume goes on saying ContainerCreating; a pod that it refuses is replaced at
once by the next that it refuses; the pod on a lost node stays as it was. Events stay for an hour whatever
became of it, so one counts only until the next step was told of.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sam2_operator.core.observed import AgentReport, Event, Pod

CREATING = frozenset({"ContainerCreating", "PodInitializing"})
"""What the kubelet says while it prepares a pod, whatever stands in its way."""

OBSTACLES = {
    "FailedMount": "See to it that the Secret, ConfigMap or volume named is there and can be mounted on that "
    "node; the pod then starts by itself, within about two minutes.",
    "FailedMapVolume": "See to it that the volume can be used on that node.",
    "FailedAttachVolume": "A volume that only one node can have may still be held by another: see to the "
    "pods that use it.",
    "FailedCreatePodSandBox": "The node's container runtime or its network is at fault: see to that node, or "
    "keep the agent off it by spec.agent.nodeSelector or affinity.",
    "NetworkNotReady": "The node's network is not set up: see to that node, or keep the agent off it.",
}
"""Events about what keeps a pod from starting, each with what to do."""

NOT_ADMITTED = re.compile(
    "OutOf.+|.*AdmissionError|.*Affinity(Error)?|.*AlignmentError|Evicted|NodeName|NodePorts|TaintToleration"
    "|PodOS.+|SysctlForbidden|AppArmor"
)
"""Reasons of a kubelet that refuses or evicts a pod as a whole."""

_PROGRESS = frozenset({"SuccessfulAttachVolume", "Pulling", "Pulled", "Created", "Started"})
_SILENT = frozenset({"Starting", "AgentUnreachable"})
"""Reasons in the report of an agent that did not answer."""


def matter(pod: Pod | None, report: AgentReport | None) -> bool:
    """Whether events can tell more about an agent than its pod and its own words do."""
    if pod is None or pod.deleted_at is not None:
        return True
    if pod.running:
        return report is None or (not report.ready and report.reason in _SILENT)
    return pod.node is not None and (pod.waiting is None or pod.waiting[0] in CREATING)


def not_made(events: Iterable[Event]) -> Event | None:
    """Give what the StatefulSet's controller says about a pod that it cannot make."""
    return _newest(events, {"FailedCreate"}, {"SuccessfulCreate"})


def not_admitted(events: Iterable[Event]) -> Event | None:
    """Give what a kubelet says about the last pod that it took and did not keep."""
    told = tuple(events)
    refusals = {event.reason for event in told if NOT_ADMITTED.fullmatch(event.reason)}
    return _newest(told, refusals, _PROGRESS)


def obstacle(pod: Pod, events: Iterable[Event]) -> Event | None:
    """Give what keeps this pod from starting on its node."""
    return _newest(_about(pod, events), OBSTACLES.keys(), _PROGRESS)


def node_is_lost(pod: Pod, report: AgentReport | None, events: Iterable[Event]) -> bool:
    """Whether this pod's node stopped answering, and nothing has been heard from the agent either.

    Of a pod that is being deleted, its agent may well be heard: its kubelet is what does not answer.
    """
    heard = report is not None and report.reason not in _SILENT
    if pod.deleted_at is None and (pod.ready or heard):
        return False
    return _newest(_about(pod, events), {"NodeNotReady"}, _PROGRESS) is not None


def _about(pod: Pod, events: Iterable[Event]) -> tuple[Event, ...]:
    return tuple(event for event in events if event.about == pod.uid)


def _newest(events: Iterable[Event], wanted: Collection[str], over: Collection[str]) -> Event | None:
    """Give the newest event of the wanted reasons, unless one of the others came with it or after it."""
    told = tuple(events)
    newest = max((each for each in told if each.reason in wanted), key=lambda each: each.at, default=None)
    if newest is None or any(each.at >= newest.at for each in told if each.reason in over):
        return None
    return newest
