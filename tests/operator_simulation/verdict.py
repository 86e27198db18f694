"""What is not as it should be when the faults are over and time has passed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sam2_operator.api.spec import FunctionSpec
from sam2_operator.core.naming import key_prefix, state_user
from sam2_operator.core.records import REMEMBERED
from sam2_operator.core.timestamps import parse
from tests.operator_simulation.agents import setting
from tests.operator_simulation.people import TRACKERS, People
from tests.operator_simulation.ports import BEGINNING
from tests.operator_simulation.witness import Flaw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sam2_operator.core.observed import Manifest
    from tests.operator_simulation.cvat import Made
    from tests.operator_simulation.kubernetes.store import Key
    from tests.operator_simulation.world import World


class Verdict:
    """Compares what is with what people want."""

    def __init__(self, world: World, people: People) -> None:
        self._world, self._people = world, people

    def flaws(self) -> list[Flaw]:
        """Give all that is wrong now."""
        found: list[Flaw] = []
        for key in self._people.names:
            live = self._world.store.find(key)
            if key in self._people.wanted:
                found += self._of_wanted(key, live)
            elif live is not None:
                found.append(Flaw("hangs", f"{key[1]}/{key[2]} is not gone: {_reason(live)}"))
        return [*found, *self._orphans(), *self._strangers()]

    def _of_wanted(self, key: Key, live: Manifest | None) -> Iterator[Flaw]:
        name = f"{key[1]}/{key[2]}"
        if live is None or live["metadata"].get("deletionTimestamp"):
            yield Flaw("hangs", f"{name} is gone or going")
            return
        if self._is_taken(live) or self._is_out_of_reach(live):
            return
        yield from self._of_function(name, live)
        yield from self._of_children(name, live)
        status, generation = live.get("status", {}), live["metadata"]["generation"]
        conditions = {each["type"]: each for each in status.get("conditions", [])}
        if status.get("observedGeneration") != generation or len(conditions) != 4:
            yield Flaw(
                "hangs", f"{name} is told about at {status.get('observedGeneration')}, not {generation}"
            )
        for kind, each in conditions.items():
            if each["observedGeneration"] != generation:
                yield Flaw("hangs", f"{name}: {kind} is of generation {each['observedGeneration']}")
            expected = (
                "False" if live["spec"].get("suspend") and kind in ("Ready", "AgentAvailable") else "True"
            )
            if each["status"] != expected:
                yield Flaw(
                    "hangs", f"{name}: {kind} is {each['status']}, {each['reason']}: {each['message']}"
                )

    def _of_function(self, name: str, live: Manifest) -> Iterator[Flaw]:
        status = live.get("status", {})
        number = status.get("functionID")
        wanted = FunctionSpec.model_validate(live["spec"].get("function", {}))
        made = self._world.cvat.functions.get(number) if number is not None else None
        if made is None:
            yield Flaw("hangs", f"{name} has function {number}, which CVAT does not have")
            return
        if wanted.id is not None:
            if number != wanted.id:
                yield Flaw("hangs", f"{name} has function {number} and not {wanted.id}")
        elif (made.name, made.visibility, sorted(made.shapes)) != (
            wanted.name or live["metadata"]["name"],
            wanted.visibility,
            sorted(wanted.shape_types),
        ):
            yield Flaw("hangs", f"{name} has function {made}, it wants {wanted}")
        unsettled = [key for key in ("registration", "obsoleteFunctionIDs") if status.get(key)]
        if unsettled or self._is_looking(status):
            yield Flaw("hangs", f"{name}: {unsettled or ['unansweredRequests']} are not settled")
        yield from self._of_others_made(name, live, made)

    def _of_others_made(self, name: str, live: Manifest, made: Made) -> Iterator[Flaw]:
        status, uid, number = live["status"], live["metadata"]["uid"], made.id
        told = set(status.get("duplicateFunctionIDs", []))
        trackers = self._world.store.all(TRACKERS)
        held = {each.get("status", {}).get("functionID") for each in trackers}
        for other in self._world.cvat.functions.values():
            if other.made_for != uid or other.id in {*held, *told}:
                continue
            if other.is_one_of_two and not self._world.witness.listed_in_time(other):
                continue  # CVAT gave an answer to the request, which is looked after for the settle time
            # Listed too late, and of an account that was left by then: the present one may not see it.
            if self._world.witness.decidable(other) or other.owner == made.owner:
                yield Flaw("duplicates", f"{name} has functions {number} and {other.id}, which is not told")
        if told:
            yield Flaw(
                "duplicates", f"{name} has duplicates {sorted(told)}, which people were told to delete"
            )

    def _is_looking(self, status: Manifest) -> bool:
        """Whether something else may come of a request that CVAT answered a moment ago."""
        soon = BEGINNING + timedelta(seconds=self._world.loop.time()) + REMEMBERED / 2
        return any(parse(each["lookUntil"]) < soon for each in status.get("unansweredRequests", []))

    def _of_children(self, name: str, live: Manifest) -> Iterator[Flaw]:
        metadata = live["metadata"]
        expected: dict[str, Any] = {
            "replicas": 0 if live["spec"].get("suspend") else 1,
            "image": live["spec"].get("agent", {}).get("image") or "sam2-tracker-agent:sim",
            "FUNCTION_ID": str(live.get("status", {}).get("functionID")),
            "KEY_PREFIX": key_prefix(metadata["uid"]),
            "automountServiceAccountToken": False,
            "ports": 1,
            "url": True,
        }
        found = {plural: self._child(live, plural) for plural in _NAMES}
        missing = [plural for plural, child in found.items() if child is None]
        if missing:
            yield Flaw("hangs", f"{name} lacks its {missing}")
            return
        workload, account, policy, secret = (found[plural] or {} for plural in _NAMES)
        spec = workload["spec"]["template"]["spec"]
        has = {
            "replicas": workload["spec"]["replicas"],
            "image": spec["containers"][0]["image"],
            "FUNCTION_ID": setting(spec, "FUNCTION_ID"),
            "KEY_PREFIX": setting(spec, "KEY_PREFIX"),
            "automountServiceAccountToken": account["automountServiceAccountToken"],
            "ports": len(policy["spec"]["ingress"]),
            "url": secret["data"]["url"] != "bm9uZQ==",
        }
        if has != expected:
            yield Flaw("hangs", f"{name}: its objects are {has}, not {expected}")

    def _child(self, live: Manifest, plural: str) -> Manifest | None:
        metadata = live["metadata"]
        name = metadata["name"] + _NAMES[plural]
        child = self._world.store.find((plural, metadata["namespace"], name))
        owners = [each["uid"] for each in child["metadata"]["ownerReferences"]] if child is not None else []
        return child if owners == [metadata["uid"]] else None

    def _is_taken(self, live: Manifest) -> bool:
        """Whether it asks for a function that another one serves, and says so."""
        given = live["spec"].get("function", {}).get("id")
        others = [each for each in self._world.store.all(TRACKERS) if each["metadata"] != live["metadata"]]
        held = any(each.get("status", {}).get("functionID") == given for each in others)
        return given is not None and held and _reason(live, "FunctionRegistered").startswith("FunctionTaken")

    def _is_out_of_reach(self, live: Manifest) -> bool:
        """Whether it asks for a private function that the account of its present one cannot see, and says so.

        No account can do both, delete the one and see the other: people have to correct the tracker.
        """
        given = self._world.cvat.functions.get(live["spec"].get("function", {}).get("id"))
        holds = live.get("status", {}).get("function", {}).get("userID")
        hidden = given is not None and given.visibility != "public" and holds not in (None, given.owner)
        told = _reason(live, "FunctionRegistered").startswith(("FunctionNotFound", "AccessDenied"))
        return hidden and told

    def _orphans(self) -> Iterator[Flaw]:
        alive = {each["metadata"]["uid"] for each in self._world.store.all(TRACKERS)}
        held = [each.get("status", {}).get("functionID") for each in self._world.store.all(TRACKERS)]
        for number in {each for each in held if each is not None and held.count(each) > 1}:
            yield Flaw("duplicates", f"several trackers hold function {number}")
        excused = alive | self._world.witness.forced | self._world.witness.left_behind
        for made in self._world.cvat.functions.values():
            if (
                made.made_for is None
                or made.made_for in excused
                or made.id in held
                or made.id in self._world.witness.left_functions
                or self._is_retained(made.id)
            ):
                continue
            if not self._world.witness.decidable(made):
                continue  # CVAT may have listed it only when its tracker was gone
            yield Flaw("orphans", f"function {made.id} was made for {made.made_for}, which is gone")
        for uid in set(self._world.witness.uids) - excused:
            # One that slept while another ended the tracker may make its user again, which has no keys then,
            # unless it makes the agent again as well, too late to know: that one may serve until Kubernetes
            # collects it, which takes less than its keys take to expire.
            alone, revived = self._world.witness.was_alone(uid), uid in self._world.witness.revived
            user = alone and state_user(uid) in self._world.redis.users
            keys = (alone or not revived) and key_prefix(uid) in self._world.redis.keys
            if user or keys:
                yield Flaw("orphans", f"Redis still has users or keys of {uid}")

    def _is_retained(self, number: int) -> bool:
        return any(
            each.get("status", {}).get("functionID") == number
            and each["spec"].get("function", {}).get("deletionPolicy") == "Retain"
            for each in self._world.witness.uids.values()
        )

    def _strangers(self) -> Iterator[Flaw]:
        for number in self._people.given:
            if number not in self._world.cvat.functions:
                yield Flaw("orphans", f"function {number}, which people made, is gone")


_NAMES = {
    "statefulsets": "-agent",
    "serviceaccounts": "-agent",
    "networkpolicies": "-agent",
    "secrets": "-state",
}


def _reason(live: Manifest, kind: str = "Ready") -> str:
    conditions = live.get("status", {}).get("conditions", [])
    return next((f"{each['reason']}: {each['message']}" for each in conditions if each["type"] == kind), "")
