"""What must hold of a tracker's status in every version that anybody could have read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from tests.controlplane.recording import Version

_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")
_SENTENCE = re.compile(r"\S+( \S+)+[.!?]", re.DOTALL)


def lies(
    trackers: Sequence[Version],
    stateful_sets: Sequence[Version],
    pods: Sequence[Version],
    secrets: Iterable[str] = (),
) -> list[str]:
    """Give what does not hold, by version; versions are given oldest first."""
    found = [f"{version.number}: {lie}" for version in trackers for lie in _alone(version.object, secrets)]
    for before, now in pairwise(trackers):
        found += [f"{now.number}: {lie}" for lie in _since(before.object, now.object)]
    previous: dict[str, Any] = {}
    for version in trackers:
        if _is_ready(version.object) and not _is_ready(previous):
            unserved = _unserved(version.object, _as_of(stateful_sets, version), _as_of(pods, version))
            found += [f"{version.number}: ready although {why}" for why in unserved]
        previous = version.object
    return found


def _alone(tracker: dict[str, Any], secrets: Iterable[str]) -> Iterator[str]:
    """What one version must not say."""
    status, generation = tracker.get("status", {}), tracker["metadata"]["generation"]
    observed = status.get("observedGeneration")
    if observed is not None and observed > generation:
        yield f"generation {observed} is observed before it is there"
    for condition in status.get("conditions", []):
        kind = condition["type"]
        if not (observed or 0) <= condition.get("observedGeneration", -1) <= generation:
            yield f"{kind} tells about generation {condition.get('observedGeneration')}"
        if not _REASON.fullmatch(condition["reason"]):
            yield f"{kind} has the reason {condition['reason']!r}"
        if not _SENTENCE.fullmatch(condition["message"]):
            yield f"{kind} says no sentence: {condition['message']!r}"
    for secret in secrets:
        if secret in json.dumps(status):
            yield "the status holds a secret"


def _since(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """What must not have changed between two versions."""
    then, told = before.get("status", {}), now.get("status", {})
    if told.get("observedGeneration", 0) < then.get("observedGeneration", 0):
        yield "the observed generation went back"
    earlier = {condition["type"]: condition for condition in then.get("conditions", [])}
    for condition in told.get("conditions", []):
        old = earlier.get(condition["type"])
        if old is None:
            continue
        if condition["observedGeneration"] < old["observedGeneration"]:
            yield f"{condition['type']} tells about an older generation than before"
        moved = condition["lastTransitionTime"] != old["lastTransitionTime"]
        if moved and condition["status"] == old["status"]:
            yield f"the time of {condition['type']} moved without its status"
        if condition["lastTransitionTime"] < old["lastTransitionTime"]:
            yield f"the time of {condition['type']} went back"


def _is_ready(tracker: dict[str, Any]) -> bool:
    """Whether `kubectl wait --for=condition=Ready` would return."""
    generation = tracker.get("metadata", {}).get("generation")
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("observedGeneration", generation) >= generation
        for condition in tracker.get("status", {}).get("conditions", [])
    )


def _as_of(versions: Sequence[Version], moment: Version) -> dict[str, Any]:
    """An object as it was then; empty when there was none."""
    earlier = [version for version in versions if version.number <= moment.number]
    return earlier[-1].object if earlier and not earlier[-1].deleted else {}


def _unserved(tracker: dict[str, Any], stateful_set: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    """Why nobody served the tracker's spec."""
    spec, status = tracker["spec"], tracker["status"]
    if not stateful_set or not pod:
        yield "there is no agent"
        return
    live = stateful_set.get("status", {})
    if live.get("observedGeneration", 0) < stateful_set["metadata"]["generation"]:
        yield "the StatefulSet has yet to be rolled out"
    if pod["metadata"]["labels"]["controller-revision-hash"] != live.get("updateRevision"):
        yield "the pod is of an old revision"
    if pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") != "Running":
        yield "the pod does not run"
    (container,) = pod["spec"]["containers"]
    if container["image"] != spec["agent"].get("image", container["image"]):
        yield f"the pod runs {container['image']}"
    variables = {each["name"]: each.get("value") for each in container["env"]}
    if variables["SAM2_AGENT_FUNCTION_ID"] != str(status.get("functionID")):
        yield "the agent serves another function"
    name = spec["function"].get("name", tracker["metadata"]["name"])
    if status["function"]["name"] != name:
        yield f"the function is still named {status['function']['name']}"
