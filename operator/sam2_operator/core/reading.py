"""Reads a tracker as the API server gives it; of one that says more than this operator knows, what it can.

A rollback leaves the CRD of the newer operator behind, and with it trackers whose values this one does not
know. Nothing is made of such a tracker, and what was made for it is left as it is. But its end must come, and
takes less than its life: what that needs is read part by part, and of a part that cannot be read nothing is
taken for granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import ValidationError

from sam2_operator.api.model import ModelSpec
from sam2_operator.api.spec import CvatSpec, FunctionSpec
from sam2_operator.api.state import StateSpec
from sam2_operator.api.status import TrackerStatus
from sam2_operator.api.tracker import Tracker
from sam2_operator.api.workload import AgentSpec
from sam2_operator.errors import KubernetesError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sam2_operator.api.base import ApiModel
    from sam2_operator.core.observed import Manifest

Part: TypeAlias = Literal["cvat", "function", "state", "status"]

_NEEDED: Mapping[Part, tuple[type[ApiModel], tuple[str, ...]]] = {
    "cvat": (CvatSpec, ("interface", "url", "organization", "credentialsSecretRef", "caBundle", "proxyUrl")),
    "function": (FunctionSpec, ("name", "id", "deletionPolicy")),
    "state": (StateSpec, ("url", "secretRef", "caBundle", "ttl")),
}
"""Parts of the spec, and the fields that the end of a tracker is decided from."""
_OF_USE: Mapping[str, tuple[type[ApiModel], tuple[str, ...]]] = {
    "agent": (AgentSpec, ("onNodeLoss",)),
    "model": (ModelSpec, ("id", "revision", "checkpoint")),
}
"""Parts of which the defaults do no harm: a pod is then not removed by force, and a title is missing."""
_TOLD = ("observedGeneration", "conditions", "model", "agent")
"""Of the status: what only tells what was found."""
_IDS = ("functionID", "obsoleteFunctionIDs")
_UNUSED = {"visibility": "private", "shapeTypes": []}
"""Of a recorded function: what its end does not ask for, and whose words may be new."""


class PartialTracker(Tracker):
    """A tracker of which a part cannot be read: there are the defaults, or nothing."""

    problem: str
    """Why, as a sentence."""
    unread: frozenset[Part]
    """Parts that its end needs and that cannot be read."""
    said: dict[str, Any]
    """Its whole status, as it is written."""

    def lacks(self, *parts: Part) -> bool:
        """Whether one of these parts cannot be read."""
        return not self.unread.isdisjoint(parts)

    def retold(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Give the whole status with what was found now; all else stays for an operator that can read it."""
        kept = {key: value for key, value in self.said.items() if key not in _TOLD}
        return {**kept, **{key: told[key] for key in _TOLD if key in told}}


class UnreadableTrackerError(KubernetesError):
    """A tracker has values that this operator does not know: the CRD is of another version."""

    reason = "Unreadable"

    def __init__(self, partial: PartialTracker) -> None:
        super().__init__(partial.problem)
        self.partial = partial


def read(live: Manifest) -> Tracker:
    """Read a tracker; fields that this operator does not know are ignored.

    Raises:
        UnreadableTrackerError: there is a value that it does not know.
    """
    try:
        # A newer operator's CRD, which an upgrade brings first and a rollback leaves, may know more fields.
        return Tracker.model_validate(live, extra="ignore")
    except ValidationError as error:
        raise UnreadableTrackerError(_partial(live, error)) from error


def read_partly(live: Manifest) -> Tracker:
    """Read a tracker as far as that goes."""
    try:
        return read(live)
    except UnreadableTrackerError as error:
        return error.partial


def reader(tracker: Tracker) -> Callable[[Manifest], Tracker]:
    """Give how to read this tracker again: one that could be read is not gone on with once it cannot."""
    return read_partly if isinstance(tracker, PartialTracker) else read


def lacks(tracker: Tracker, *parts: Part) -> bool:
    """Whether one of these parts of a tracker could not be read."""
    return isinstance(tracker, PartialTracker) and tracker.lacks(*parts)


def _partial(live: Manifest, error: ValidationError) -> PartialTracker:
    spec: dict[str, Any] = {}
    unread: set[Part] = set()
    for part, (model, fields) in _NEEDED.items():
        found = _known(live, part, model, fields)
        spec[part] = found or {}
        if found is None:
            unread.add(part)
    spec |= {part: _known(live, part, model, fields) or {} for part, (model, fields) in _OF_USE.items()}
    said = live.get("status") or {}
    status, is_whole = _status(said)
    if not is_whole:
        unread.add("status")
    identity = {key: live[key] for key in ("apiVersion", "kind", "metadata") if key in live}
    problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
    return PartialTracker.model_validate(
        {
            **identity,
            "spec": spec,
            "status": status,
            "problem": f"The tracker cannot be read ({problems}): the CRD and the operator are of different "
            "versions, upgrade them together.",
            "unread": unread,
            "said": said,
        },
        extra="ignore",
    )


def _known(live: Manifest, part: str, model: type[ApiModel], fields: tuple[str, ...]) -> Manifest | None:
    """Give these fields of a part of the spec; None if one of them cannot be read."""
    given = (live.get("spec") or {}).get(part) or {}
    if not isinstance(given, dict):
        return None
    found = {key: value for key, value in given.items() if key in fields}
    return found if _is_valid(model, found) else None


def _status(said: Manifest) -> tuple[Manifest, bool]:
    """Give as much of a status as can be read, and whether that is all of it that the end needs.

    Requests without an answer are looked at for the sake of a registration under way, and of nothing else.
    """
    function = said.get("function")
    plain = {**said, "function": {**function, **_UNUSED}} if isinstance(function, dict) else said
    settled = {key: value for key, value in plain.items() if key != "unansweredRequests"}
    told = {key: said[key] for key in (*_TOLD, *_IDS) if key in said}
    ids = {key: said[key] for key in _IDS if key in said}
    tries = (
        (said, True),
        (plain, True),
        (settled, "registration" not in said),
        (told, False),
        (ids, False),
    )
    for known, is_whole in tries:
        if _is_valid(TrackerStatus, known):
            return known, is_whole
    return {}, False


def _is_valid(model: type[ApiModel], value: Manifest) -> bool:
    try:
        model.model_validate(value, extra="ignore")
    except ValidationError:
        return False
    return True
