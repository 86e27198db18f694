"""What the API server keeps: objects with versions, identities, finalizers and an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from sam2_operator.core.timestamps import text
from tests.operator_simulation.kubernetes.apply import applied, merged

if TYPE_CHECKING:
    from datetime import datetime

    from sam2_operator.core.observed import Manifest

Key = tuple[str, str, str]
"""Plural, namespace ("" for what has none), name."""

_COUNTED = {"sam2trackers", "statefulsets", "networkpolicies", "pods"}
"""Kinds with a generation."""
_GIVEN = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
)
"""Metadata that only the API server writes."""
_WITH_STATUS = {"sam2trackers"}
"""Kinds whose status is written apart here."""


class ApiError(Exception):
    """An answer that is an error, as Kubernetes tells it."""

    def __init__(self, status: int, message: str, cause: str = "") -> None:
        super().__init__(status, message, cause)  # all of it: it must survive being pickled
        self.status, self.message, self.cause = status, message, cause

    def __str__(self) -> str:
        return self.message


@dataclass
class Store:
    """All objects. They are never changed in place: what is given out stays as it was."""

    now: Callable[[], datetime]
    changed: Callable[[str, Manifest], None] = lambda _plural, _live: None
    """Told of every change: the plural, and the object as it is or last was."""
    admit: Callable[[str, Manifest, Manifest | None], None] = lambda _plural, _new, _old: None
    """May refuse what is about to be written, by an `ApiError`."""
    _objects: dict[Key, Manifest] = field(default_factory=dict)
    _applied: dict[str, Manifest] = field(default_factory=dict)
    """What the operator applied last, by the object's uid."""
    _written: dict[str, bytes] = field(default_factory=dict)
    """Objects as JSON, by their version."""
    _version: int = 0
    _identities: int = 0

    def find(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def get(self, key: Key) -> Manifest:
        live = self.find(key)
        if live is None:
            raise ApiError(404, f'{key[0]} "{key[2]}" not found')
        return live

    def all(self, plural: str, namespace: str = "") -> list[Manifest]:
        return [live for key, live in self._objects.items() if key[0] == plural and namespace in ("", key[1])]

    def keys(self, namespace: str) -> list[Key]:
        return [key for key in self._objects if key[1] == namespace]

    def has_uid(self, uid: str) -> bool:
        return any(live["metadata"]["uid"] == uid for live in self._objects.values())

    def json(self, live: Manifest) -> bytes:
        """Write an object down."""
        version = live["metadata"]["resourceVersion"]
        if version not in self._written:
            self._written[version] = json.dumps(live).encode()
        return self._written[version]

    def create(self, key: Key, wanted: Manifest) -> Manifest:
        if key in self._objects:
            raise ApiError(409, f'{key[0]} "{key[2]}" already exists')
        self.check_namespace(key[1])
        self.admit(key[0], wanted, None)
        self._identities += 1
        made: Manifest = {"name": key[2], "uid": f"uid-{self._identities:08d}"}
        made |= {"creationTimestamp": text(self.now())}
        if key[1]:
            made["namespace"] = key[1]
        if key[0] in _COUNTED:
            made["generation"] = 1
        without = {"status"} if key[0] in _WITH_STATUS else set()
        new = {name: value for name, value in wanted.items() if name not in without}
        return self._store(key, {**new, "metadata": {**wanted.get("metadata", {}), **made}})

    def update(self, key: Key, patch: Manifest) -> Manifest:
        """Merge a patch; identity and version in it are preconditions."""
        live = self.get(key)
        _check(live, patch.get("metadata", {}))
        new: Manifest = merged(live, patch)
        if key[0] in _WITH_STATUS:
            new.pop("status", None)
            new |= {"status": live["status"]} if "status" in live else {}
        return self._replace(key, live, new)

    def update_status(self, key: Key, body: Manifest) -> Manifest:
        """Replace the status; the rest of the body only identifies."""
        live = self.get(key)
        _check(live, body.get("metadata", {}))
        return self._replace(key, live, {**live, "status": body.get("status", {})}, status_only=True)

    def apply(self, key: Key, wanted: Manifest) -> Manifest:
        """Server-side apply of one manager, with force."""
        live = self.find(key)
        if live is None:
            new = self.create(key, wanted)
        else:
            before = self._applied.get(live["metadata"]["uid"], {})
            new = self._replace(key, live, applied(before, wanted, live))
        self._applied[new["metadata"]["uid"]] = wanted
        return new

    def delete(self, key: Key, uid: str | None = None, *, grace: float = 0.0) -> None:
        """Delete, or mark as being deleted what has finalizers or a grace period."""
        live = self.get(key)
        metadata = live["metadata"]
        if uid is not None and uid != metadata["uid"]:
            raise ApiError(
                409, f"Precondition failed: UID in precondition: {uid}, in object: {metadata['uid']}"
            )
        if not metadata.get("finalizers") and not grace:
            self._remove(key, live)
        elif metadata.get("deletionTimestamp") is None:
            until = {"deletionTimestamp": text(self.now() + timedelta(seconds=grace))}
            count = {"generation": metadata["generation"] + 1} if "generation" in metadata else {}
            self._store(key, {**live, "metadata": {**metadata, **until, **count}})

    def check_namespace(self, name: str) -> None:
        """Refuse what cannot be made in a namespace."""
        if not name:
            return
        namespace = self._objects.get(("namespaces", "", name))
        if namespace is None:
            raise ApiError(404, f'namespaces "{name}" not found')
        if namespace["metadata"].get("deletionTimestamp"):
            message = f"unable to create new content in namespace {name} because it is being terminated"
            raise ApiError(403, message, "NamespaceTerminating")

    def _replace(self, key: Key, live: Manifest, new: Manifest, *, status_only: bool = False) -> Manifest:
        kept = {each: live["metadata"][each] for each in _GIVEN if each in live["metadata"]}
        new = {**new, "metadata": {**new["metadata"], **kept}}
        if new == live:
            return live  # a write that changes nothing is none
        if not status_only:
            self.admit(key[0], new, live)
        if "generation" in kept and _wish(new) != _wish(live):
            new["metadata"]["generation"] += 1
        ends = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
        if ends and key[0] != "pods":
            self._remove(key, new)
            return new
        return self._store(key, new)

    def _store(self, key: Key, new: Manifest) -> Manifest:
        self._version += 1
        new = {**new, "metadata": {**new["metadata"], "resourceVersion": str(self._version)}}
        self._objects[key] = new
        self.changed(key[0], new)
        return new

    def _remove(self, key: Key, live: Manifest) -> None:
        del self._objects[key]
        self._version += 1
        self.changed(key[0], live)


def _check(live: Manifest, preconditions: Manifest) -> None:
    metadata = live["metadata"]
    for name in ("uid", "resourceVersion"):
        if preconditions.get(name) not in (None, metadata[name]):
            raise ApiError(409, f"the object has been modified: {name} is {metadata[name]}")


def _wish(live: Manifest) -> Manifest:
    """What the generation counts changes of."""
    return {key: value for key, value in live.items() if key not in {"metadata", "status"}}
