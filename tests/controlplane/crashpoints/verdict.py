"""What is wrong with a tracker in the end, in the terms of its user."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.controlplane.crashpoints.scene import Scene, describe
from tests.controlplane.snapshot import children, differences

if TYPE_CHECKING:
    import redis

    from tests.cvat_standin.control_models import FunctionRecord

Kind = Literal["duplicates", "orphans", "hangs"]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is not as it should be."""

    kind: Kind
    what: str


@dataclass
class Expectation:
    """How a scene should end."""

    function: str
    """Name of the function."""
    present: bool
    retained: bool = False
    strangers: set[int] = field(default_factory=set)
    """Functions of others, which are neither adopted nor deleted."""
    unprovable: set[int] = field(default_factory=set)
    """Functions of a tracker that was removed by force: nothing proves whose they are."""
    promised: int | None = None
    """The function that the tracker must end with, since it told of it."""
    children: dict[str, Any] | None = None
    """Snapshot of the tracker's objects."""
    users: set[str] = field(default_factory=set)
    """Users of Redis that a tracker removed by force left."""

    def flaws(self, scene: Scene, redis: redis.Redis) -> list[Flaw]:
        """Compare."""
        functions = scene.cvat.functions()
        ids = {each.id for each in functions}
        lost = self.strangers - ids
        found = [Flaw("hangs", f"functions of others were deleted: {sorted(lost)}")] if lost else []
        own = [each for each in functions if each.id not in self.strangers]
        users = _users(redis) - self.users
        if self.present:
            return [*found, *self._of_present(scene, own, users)]
        return [*found, *self._of_gone(scene, own, users)]

    def _of_present(self, scene: Scene, own: Collection[FunctionRecord], users: set[str]) -> list[Flaw]:
        live = scene.tracker()
        if live is None or live["metadata"].get("deletionTimestamp"):
            return [Flaw("hangs", "the tracker is gone, or about to be")]
        status, uid = live.get("status", {}), live["metadata"]["uid"]
        found = []
        serving = status.get("functionID")
        mine = [each.id for each in own if each.id not in self.unprovable]
        if len(mine) > 1:
            found.append(Flaw("duplicates", f"CVAT has the functions {mine}, {serving} is served"))
        if mine != [serving] or [each.name for each in own if each.id == serving] != [self.function]:
            found.append(Flaw("hangs", f"CVAT has {own}, {serving} is served"))
        if self.promised is not None and serving != self.promised:
            found.append(Flaw("duplicates", f"function {self.promised} was given up for {serving}"))
        unsettled = [key for key in _UNSETTLED if status.get(key)]
        if unsettled:
            found.append(Flaw("hangs", f"{unsettled} are not settled: {status}"))
        if not _is_ready(live):
            found.append(Flaw("hangs", describe(live)))
        if users != {f"s2t-{uid}"}:
            found.append(Flaw("orphans", f"Redis has the users {users}, the tracker is {uid}"))
        if self.children is not None:
            unlike = differences(self.children, children(scene.api, scene.namespace, uid))
            found += [Flaw("hangs", line) for line in unlike]
        return found

    def _of_gone(self, scene: Scene, own: Collection[FunctionRecord], users: set[str]) -> list[Flaw]:
        live = scene.tracker()
        if live is not None:
            return [Flaw("hangs", describe(live))]
        names = [each.name for each in own if each.id not in self.unprovable]
        if names != ([self.function] if self.retained else []):
            found = [Flaw("orphans", f"CVAT has functions of a tracker that is gone: {own}")]
        else:
            found = []
        if users:
            found.append(Flaw("orphans", f"Redis has users of a tracker that is gone: {users}"))
        if scene.stateful_set() is not None or scene.pods():
            found.append(Flaw("orphans", f"the agent outlives the tracker: {scene.pods()}"))
        return found


_UNSETTLED = ("registration", "obsoleteFunctionIDs", "duplicateFunctionIDs")


def _is_ready(live: dict[str, Any]) -> bool:
    status = live.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    current = status.get("observedGeneration") == live["metadata"]["generation"]
    return bool(current and conditions and all(each["status"] == "True" for each in conditions.values()))


def _users(redis: redis.Redis) -> set[str]:
    users = (str(user, "utf-8") for user in redis.execute_command("ACL", "USERS"))  # type: ignore[no-untyped-call]
    return {user for user in users if user.startswith("s2t-")}


def forget_users(redis: redis.Redis) -> None:
    """Delete the users of all trackers."""
    for user in _users(redis):
        redis.execute_command("ACL", "DELUSER", user)  # type: ignore[no-untyped-call]
