"""What people do: they make, change and delete trackers, secrets and functions, and follow advice."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from sam2_operator.api import API_VERSION, KIND
from sam2_operator.api.tracker import FINALIZER
from tests.operator_simulation.kubernetes.controllers import BROKEN_IMAGE
from tests.operator_simulation.kubernetes.store import ApiError, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sam2_operator.core.observed import Manifest
    from tests.operator_simulation.world import World

TRACKERS = "sam2trackers"
SHAPES: Sequence[Sequence[str]] = (("mask", "polygon", "rectangle"), ("mask",))
_CHILDREN = ("statefulsets", "serviceaccounts", "networkpolicies", "secrets")


class People:
    """All people, with what they want: `wanted` holds the spec of each tracker that is to be there."""

    def __init__(self, world: World) -> None:
        self._world, self._rng = world, world.rng
        self.wanted: dict[Key, dict[str, Any]] = {}
        self.names: list[Key] = []
        self.given: list[int] = []
        """Functions that people made, to be served by trackers that name them."""
        self._before: dict[Key, dict[str, Any]] = {}

    def begin(self) -> None:
        """Set the stage: namespaces, accounts, functions of others, trackers."""
        self._make_namespace("default")
        cvat, rng = self._world.cvat, self._rng
        for name in ("cars", "bikes"):
            for owner in (1, 2):
                cvat.make(name, owner, visibility="public" if owner == 2 else "private").listed_from = 0.0
        self.given = [cvat.make(f"given-{number}", 1).id for number in range(2)]
        places = [("lab", "cars"), ("lab", "bikes"), ("zoo", "cars")]
        for namespace, name in places[: rng.choice((1, 1, 2, 3))]:
            key = (TRACKERS, namespace, name)
            self.names.append(key)
            self.wanted[key] = self._spec(name)
            self._world.loop.outside(rng.uniform(0, 20), self.make, key)

    def _spec(self, name: str) -> dict[str, Any]:
        function: dict[str, Any] = {"name": self._rng.choice(("cars", "bikes"))}
        if self._rng.random() < 0.15:
            function["id"] = self._rng.choice(self.given)
        if self._rng.random() < 0.3:
            function["visibility"] = "public"
        if self._rng.random() < 0.2:
            function["deletionPolicy"] = "Retain"
        return {
            "cvat": {"url": "https://cvat.example", "credentialsSecretRef": {"name": f"cvat-{name}"}},
            "model": {"id": "facebook/sam2.1-hiera-tiny", "device": "cpu"},
            "function": function,
        }

    # Trackers

    def make(self, key: Key) -> None:
        """Apply a tracker as it is wanted."""
        if key not in self.wanted:
            return
        self._make_namespace(key[1])
        if self._world.store.find(("secrets", key[1], f"cvat-{key[2]}")) is None:
            self.put_secret(key, "ann")
        live = self._world.store.find(key)
        with suppress(ApiError):  # a namespace or a tracker that is going: they try again
            if live is None:
                metadata: Manifest = {"name": key[2], "namespace": key[1]}
                manifest = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
                self._world.store.create(key, {**manifest, "spec": deepcopy(self.wanted[key])})
            elif live["metadata"].get("deletionTimestamp") is None:
                self._world.store.update(key, {"spec": _replacing(live["spec"], self.wanted[key])})

    def make_briefly(self) -> None:
        """Make one, and think better of it a little later."""
        key = self.make_again()
        if key is not None:
            self._world.loop.outside(self._rng.uniform(1, 25), self.delete, key)

    def edit(self) -> None:
        """Change one field of one tracker."""
        key = self._any()
        if key is None:
            return
        before, spec = self.wanted[key], deepcopy(self.wanted[key])
        choice = self._rng.randrange(7)
        function = spec["function"]
        if choice <= 1:
            function["name"] = self._rng.choice(("cars", "bikes", "boats"))
        elif choice == 2:
            function["visibility"] = self._rng.choice(("private", "public"))
        elif choice == 3:
            function["shapeTypes"] = list(self._rng.choice(SHAPES))
        elif choice == 4:
            function["id"] = self._rng.choice((*self.given, None))
            function = spec["function"] = {name: each for name, each in function.items() if each is not None}
        elif choice == 5:
            spec["agent"] = {"image": self._rng.choice(("agent:next", f"agent:{BROKEN_IMAGE}"))}
        else:
            spec["suspend"] = not spec.get("suspend", False)
        self._want(key, spec, before)

    def edit_back(self) -> None:
        """Take back what was changed last."""
        key = self._any()
        if key is not None and key in self._before:
            self._want(key, self._before[key], self.wanted[key])

    def touch(self) -> None:
        """Change what is of no interest to the operator."""
        for key in self.names:
            if self._world.store.find(key) is not None:
                note = {"annotations": {"touched": str(self._world.loop.time())}}
                self._world.store.update(key, {"metadata": note})

    def delete(self, key: Key | None = None) -> None:
        """Delete a tracker."""
        key = key or self._any()
        if key is not None:
            self.wanted.pop(key, None)
            self._world.trace.note("people", f"delete {key[1]}/{key[2]}")
            with suppress(ApiError):
                self._world.store.delete(key)

    def force_away(self) -> None:
        """Delete a tracker and take its finalizer away: nothing is left that knew its function."""
        key = self._any()
        live = self._world.store.find(key) if key is not None else None
        if key is not None and live is not None:
            self._world.trace.note("people", f"force away {key[1]}/{key[2]} {live['metadata']['uid']}")
            self._world.witness.forced.add(live["metadata"]["uid"])
            if FINALIZER in live["metadata"].get("finalizers", []):
                self._world.store.update(key, {"metadata": {"finalizers": None}})
            self.delete(key)

    def make_again(self) -> Key | None:
        """Make a tracker that is gone, or going; give which."""
        gone = [key for key in self.names if key not in self.wanted]
        if not gone:
            return None
        key = self._rng.choice(gone)
        self.wanted[key] = self._spec(key[2])
        self.make(key)
        return key

    def apply_all(self) -> None:
        """Make or correct every tracker that is wanted."""
        for key in self.wanted:
            self.make(key)

    # What is around trackers

    def put_secret(self, key: Key, username: str | None) -> None:
        """Store the credentials of an account; None deletes them."""
        secret = ("secrets", key[1], f"cvat-{key[2]}")
        with suppress(ApiError):
            if username is None:
                self._world.store.delete(secret)
                return
            data = {"token": base64.b64encode(f"token-of-{username}".encode()).decode()}
            if self._world.store.find(secret) is None:
                self._world.store.create(secret, {"kind": "Secret", "data": data})
            else:
                self._world.store.update(secret, {"data": data})

    def delete_namespace(self) -> None:
        key = self._any()
        if key is not None:
            for each in [each for each in self.wanted if each[1] == key[1]]:
                del self.wanted[each]
            with suppress(ApiError):
                self._world.store.delete(("namespaces", "", key[1]))

    def delete_child(self) -> None:
        child = self._child()
        if child is not None:
            self._world.trace.note("people", f"delete {child}")
            self._world.store.delete(child)

    def edit_child(self) -> None:
        child = self._child()
        if child is None:
            return
        self._world.trace.note("people", f"edit {child}")
        patches: dict[str, Manifest] = {
            "statefulsets": {"spec": {"replicas": 0}},
            "serviceaccounts": {"automountServiceAccountToken": True},
            "networkpolicies": {"spec": {"ingress": []}},
            "secrets": {"data": {"url": "bm9uZQ=="}},
        }
        if child[0] == "statefulsets":
            self._world.witness.edited_by_hand = self._world.loop.time()
        with suppress(ApiError):  # an admission policy may refuse it to people, too
            self._world.store.update(child, patches[child[0]])

    def delete_pod(self) -> None:
        pods = self._world.store.all("pods")
        if pods:
            metadata = self._rng.choice(pods)["metadata"]
            self._world.store.delete(("pods", metadata["namespace"], metadata["name"]), grace=30.0)

    def delete_function(self, number: int | None = None) -> None:
        """Delete a function in CVAT by hand; by itself, one that an operator asked for."""
        functions = self._world.cvat.functions
        ours = [each.id for each in functions.values() if each.made_for is not None]
        chosen = number if number is not None else self._rng.choice(ours) if ours else None
        if chosen in functions:
            self._world.trace.note("people", f"delete function {chosen}")
            del functions[chosen]

    def make_function(self) -> None:
        """Make a function that looks like a tracker's, but for one thing."""
        name = self._rng.choice(("cars", "bikes", "boats"))
        if self._rng.random() < 0.5:
            self._world.cvat.make(name, 2, visibility="public")
        else:
            self._world.cvat.make(name, 1, shapes=("polygon",))

    def follow_advice(self) -> None:
        """Do what the conditions ask for."""
        for live in self._world.store.all(TRACKERS):
            key = (TRACKERS, live["metadata"]["namespace"], live["metadata"]["name"])
            status = live.get("status", {})
            for each in status.get("conditions", []):
                if each["reason"] == "SeveralFunctions" or "can be proven" in each["message"]:
                    numbers = re.findall(r"\b\d+\b", each["message"].split("come of it")[-1])
                    for number in numbers[1:]:
                        self.delete_function(int(number))
            for number in status.get("duplicateFunctionIDs", []):
                self.delete_function(number)
            accounts = [status.get(each, {}).get("username") for each in ("registration", "function")]
            self.put_secret(key, next((each for each in accounts if each), "ann"))

    def _any(self) -> Key | None:
        return self._rng.choice(sorted(self.wanted)) if self.wanted else None

    def _want(self, key: Key, spec: dict[str, Any], before: dict[str, Any]) -> None:
        self._world.trace.note("people", f"edit {key[1]}/{key[2]}: {spec}")
        self._before[key], self.wanted[key] = before, spec
        self.make(key)

    def _child(self) -> Key | None:
        found = [
            (plural, live["metadata"]["namespace"], live["metadata"]["name"])
            for plural in _CHILDREN
            for live in self._world.store.all(plural)
            if live["metadata"].get("ownerReferences") and not live["metadata"].get("deletionTimestamp")
        ]
        return self._rng.choice(found) if found else None

    def _make_namespace(self, name: str) -> None:
        key = ("namespaces", "", name)
        if self._world.store.find(key) is None:
            self._world.store.create(key, {"metadata": {"finalizers": ["kubernetes"]}})


def _replacing(live: Any, wanted: Any) -> Any:
    """Give the merge patch that makes `live` be as wanted."""
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return deepcopy(wanted)
    patch = {key: _replacing(live.get(key), value) for key, value in wanted.items()}
    return patch | {key: None for key in live if key not in wanted}
