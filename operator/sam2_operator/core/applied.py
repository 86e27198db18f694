"""What was applied and what came of it.

The API server writes some values in its own way, and an admission webhook may insist on others. Such a
difference stays in spite of an apply; applying it for ever would be a write for ever. So an object that still
differs is left alone until it, or the wish, changes.
"""

from __future__ import annotations

import hashlib
import json
from threading import Lock
from typing import TYPE_CHECKING

from sam2_operator.core.drift import DIGEST_ANNOTATION

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest
    from sam2_operator.core.plan import Apply


class AppliedMemory:
    """For each object of each tracker, the wish last applied and the version that came of it.

    Safe for several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._results: dict[str, dict[str, tuple[str, str]]] = {}

    def is_settled(self, tracker: str, action: Apply) -> bool:
        """Whether exactly this was applied before, and nobody has changed the object since."""
        if action.live is None:
            return False
        with self._lock:
            return self._results.get(tracker, {}).get(_name(action)) == (
                _digest(action.wanted),
                _version(action.live),
            )

    def note(self, tracker: str, action: Apply, result: Manifest) -> None:
        """Remember what came of an apply."""
        with self._lock:
            objects = self._results.setdefault(tracker, {})
            objects[_name(action)] = (_digest(action.wanted), _version(result))

    def forget(self, tracker: str) -> None:
        """Drop what is known about a tracker."""
        with self._lock:
            self._results.pop(tracker, None)


def _name(action: Apply) -> str:
    return f"{action.wanted['kind']}/{action.wanted['metadata']['name']}"


def _digest(wanted: Manifest) -> str:
    return str(wanted["metadata"]["annotations"][DIGEST_ANNOTATION])


def _version(live: Manifest) -> str:
    """Give a digest of all that people edit: not of the status, which controllers write."""
    metadata = {key: live["metadata"].get(key) for key in ("uid", "labels", "annotations", "ownerReferences")}
    edited = {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}
    return hashlib.sha256(json.dumps(edited, sort_keys=True).encode()).hexdigest()
