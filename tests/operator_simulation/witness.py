"""What must be true at every moment: whatever is written, made or deleted is looked at when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sam2_operator.api.spec import FunctionSpec
from tests.operator_simulation.agents import setting
from tests.operator_simulation.people import TRACKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sam2_operator.core.observed import Manifest
    from tests.operator_simulation.cvat import Made
    from tests.operator_simulation.world import World

RECENT = 300.0
"""Seconds for which what a second operator did may show."""

Kind = Literal["duplicates", "orphans", "hangs"]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is not as it should be."""

    kind: Kind
    what: str


class Witness:
    """Complains."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.flaws: list[Flaw] = []
        self.uids: dict[str, Manifest] = {}
        """Every tracker there ever was, by uid, as it last was."""
        self._made_at: dict[str, float] = {}
        self.forced: set[str] = set()
        """Uids of trackers whose finalizer people removed."""
        self._faults = world.network.faults
        self.left_behind: set[str] = set()
        """Uids of trackers of which the operator said that something was left."""
        self.left_functions: set[int] = set()
        """Functions that these held, also such as were made for another that registered the same."""
        self.revived: set[str] = set()
        """Uids of trackers for which a StatefulSet was made when they were going, or gone already."""
        self._pods: dict[tuple[str, str], Manifest] = {}
        """The last pod of each name."""
        self.edited_by_hand: float = -1000.0
        """When people last edited a StatefulSet."""

    def complain(self, kind: Kind, what: str) -> None:
        self._world.trace.note("witness", what)
        self.flaws.append(Flaw(kind, what))

    def leave(self, uid: str) -> None:
        """Note that the operator said of a tracker that something of it is left."""
        self.left_behind.add(uid)
        for live in self._world.store.all(TRACKERS):
            held = live.get("status", {}).get("functionID")
            if live["metadata"]["uid"] == uid and held is not None:
                self.left_functions.add(held)

    def decidable(self, made: Made) -> bool:
        """Whether CVAT listed a function in time for the operator to know what came of its request."""
        return self.listed_in_time(made) and not made.is_one_of_two

    def listed_in_time(self, made: Made) -> bool:
        """Whether CVAT listed a function within the settle time of its request."""
        return self._faults.decidable(made.late)

    def was_alone(self, uid: str) -> bool:
        """Whether only one operator at a time ever worked for a tracker."""
        return self._world.operators.was_alone(self._made_at[uid])

    def notice(self, plural: str, live: Manifest) -> None:
        """Something in Kubernetes changed."""
        if plural == "pods":
            self._pods[live["metadata"]["namespace"], live["metadata"]["name"]] = live
        if plural == "statefulsets" and self._exists(live["metadata"]["uid"]) and "status" not in live:
            owners = {each["uid"] for each in live["metadata"].get("ownerReferences", [])}
            self.revived |= {each for each in owners if not self._exists(each) or _is_going(self.uids[each])}
        if plural == "sam2trackers":
            before = self.uids.get(live["metadata"]["uid"], {}).get("status", {})
            self.uids[live["metadata"]["uid"]] = live
            self._made_at.setdefault(live["metadata"]["uid"], self._world.loop.time())
            if live.get("status", {}) != before:
                self._status_written(live, before)

    def function_deleted(self, made: Made, tracker: str | None) -> None:
        """A function was deleted for a tracker; None where people did it."""
        if tracker is None:
            return
        if made.made_for is None:
            self.complain("orphans", f"{tracker} deleted function {made.id}, which people made")
        elif made.made_for != tracker and self._holds(made.made_for, made.id):
            self.complain("orphans", f"{tracker} deleted function {made.id} of {made.made_for}")
        ending = self.uids[tracker]
        retained = ending["spec"].get("function", {}).get("deletionPolicy") == "Retain"
        if _is_going(ending) and retained and ending.get("status", {}).get("functionID") == made.id:
            self.complain("orphans", f"{tracker} deleted function {made.id}, which is to be retained")
        if self._alone_of_late():
            for pod in self._world.store.all("pods"):
                if setting(pod["spec"], "FUNCTION_ID") == str(made.id) and not _is_going(pod):
                    self.complain("hangs", f"function {made.id} was deleted under its agent")

    def _status_written(self, live: Manifest, before: Manifest) -> None:
        status, metadata = live["status"], live["metadata"]
        name, generation = f"{metadata['namespace']}/{metadata['name']}", metadata["generation"]
        self._world.trace.note("status", name, _digest(live))
        told = status.get("observedGeneration")
        if told != before.get("observedGeneration") and told != generation:
            self.complain("hangs", f"{name}: observedGeneration is {told} at generation {generation}")
        conditions = {each["type"]: each for each in status.get("conditions", [])}
        earlier = {each["type"]: each for each in before.get("conditions", [])}
        for kind, each in conditions.items():
            if each["observedGeneration"] > generation or not each["reason"]:
                self.complain("hangs", f"{name}: the condition {each} at generation {generation}")
            same = each["status"] == earlier.get(kind, {}).get("status")
            moved = each["lastTransitionTime"] != earlier.get(kind, each)["lastTransitionTime"]
            if same and moved and self._alone_of_late():
                self.complain("hangs", f"{name}: {kind} was {each['status']} before its transition")
        ready = conditions.get("Ready", {})
        if ready.get("status") == "True" and ready["observedGeneration"] == generation == told:
            self._ready_told(name, live)
        uid, duplicates = metadata["uid"], status.get("duplicateFunctionIDs")
        if duplicates and self.was_alone(uid) and self._all_decidable(uid, duplicates):
            self.complain("duplicates", f"{name} asked CVAT twice: {duplicates}")
        self._function_told(name, live, before)

    def _ready_told(self, name: str, live: Manifest) -> None:
        """Whoever waits for Ready of this generation is let go now: what it asks for must be what serves."""
        spec, status, metadata = live["spec"], live["status"], live["metadata"]
        record, function = status.get("function", {}), FunctionSpec.model_validate(spec.get("function", {}))
        if function.id is not None:
            right = status.get("functionID") == function.id
        else:
            wanted = (function.name or metadata["name"], function.visibility, sorted(function.shape_types))
            has = (record.get("name"), record.get("visibility"), sorted(record.get("shapeTypes", [])))
            right = has == wanted and not record.get("adopted")
        if not right:
            self.complain("hangs", f"{name} is Ready with function {record}, it asks for {function}")
        if spec.get("suspend"):
            self.complain("hangs", f"{name} is Ready and suspended")
        pod = self._pods.get((metadata["namespace"], f"{metadata['name']}-agent-0"))
        if pod is None:
            self.complain("hangs", f"{name} is Ready and never had a pod")
        elif self._world.loop.time() - self.edited_by_hand > 120.0 and self._alone_of_late():
            self._check_pod(name, live, pod)

    def _check_pod(self, name: str, live: Manifest, pod: Manifest) -> None:
        expected: dict[str, Any] = {
            "FUNCTION_ID": str(live["status"].get("functionID")),
            "SHAPE_TYPES": ",".join(
                FunctionSpec.model_validate(live["spec"].get("function", {})).shape_types
            ),
        }
        has: dict[str, Any] = {each: setting(pod["spec"], each) for each in expected}
        expected["image"] = live["spec"].get("agent", {}).get("image") or "sam2-tracker-agent:sim"
        has["image"] = pod["spec"]["containers"][0]["image"]
        if has != expected:
            self.complain("hangs", f"{name} is Ready with a pod of {has}, it asks for {expected}")

    def _function_told(self, name: str, live: Manifest, before: Manifest) -> None:
        status, uid = live["status"], live["metadata"]["uid"]
        number = status.get("functionID")
        if number is None or number == before.get("functionID") or status["function"]["adopted"]:
            return
        made = self._world.cvat.ever[number]
        if made.made_for is None:
            self.complain("orphans", f"{name} took function {number}, which people made")
        elif made.made_for != uid and self._holds(made.made_for, number):
            self.complain("duplicates", f"{name} took function {number} of {made.made_for}")

    def _alone_of_late(self) -> bool:
        return self._world.operators.was_alone(self._world.loop.time() - RECENT)

    def _all_decidable(self, uid: str, duplicates: Sequence[int]) -> bool:
        """Whether CVAT listed in time what was made for a tracker, and what it names is its own or in use."""
        ever = self._world.cvat.ever
        left = [each for each in map(ever.__getitem__, duplicates) if not self._is_anybodys(each, uid)]
        own = [each for each in ever.values() if each.made_for == uid or each.id in duplicates]
        return not left and all(self.decidable(each) for each in own)

    def _is_anybodys(self, made: Made, uid: str) -> bool:
        """Whether a function is of this tracker, or of one that has it.

        What another one left behind, or people made just then, cannot be told apart from its own.
        """
        return made.made_for == uid or (made.made_for is not None and self._holds(made.made_for, made.id))

    def _holds(self, uid: str, number: int) -> bool:
        """Whether a tracker has the function that was made for it; one that lost it is made another."""
        return self._exists(uid) and self.uids[uid].get("status", {}).get("functionID") == number

    def _exists(self, uid: str) -> bool:
        return self._world.store.has_uid(uid)


def _is_going(live: Manifest) -> bool:
    return live["metadata"].get("deletionTimestamp") is not None


def _digest(live: Manifest) -> str:
    status = live["status"]
    conditions = [
        f"{each['type']}={each['status']}({each['reason']})@{each['observedGeneration']}"
        for each in status.get("conditions", [])
    ]
    lists = ("unansweredRequests", "obsoleteFunctionIDs", "duplicateFunctionIDs")
    kept = ("functionID", "observedGeneration", "registration", *lists)
    told = {key: status[key] for key in kept if key in status}
    return f"generation {live['metadata']['generation']} {told} {' '.join(conditions)}"
