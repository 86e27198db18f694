"""Which tracker holds which function, so that none adopts another's.

Two trackers may give their functions the same name with the same account. The ledger holds what every
tracker's status says; only this operator writes those, so the ledger, once filled, is never behind.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sam2_operator.api.tracker import Tracker


class Ledger:
    """The functions held by the trackers; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._trackers: dict[str, Tracker] = {}
        self.filled = False

    def fill(self, trackers: Iterable[Tracker]) -> None:
        """Take in all trackers there are."""
        with self._lock:
            for tracker in trackers:
                known = self._trackers.get(tracker.key)
                if known is None or _version(known) <= _version(tracker):
                    self._trackers[tracker.key] = tracker
            self.filled = True

    def note(self, tracker: Tracker) -> None:
        """Take in a tracker as it is now, in place of an earlier one of its name."""
        with self._lock:
            self._trackers[tracker.key] = tracker

    def forget(self, key: str) -> None:
        """Drop a tracker that is gone."""
        with self._lock:
            self._trackers.pop(key, None)

    def claimed(self, tracker: Tracker) -> frozenset[int]:
        """Give the ids that other trackers of the same CVAT hold."""
        return frozenset(
            function_id
            for other in self._others(tracker)
            for function_id in (other.status.function_id, *other.status.obsolete_function_ids)
            if function_id is not None
        )

    def rival(self, tracker: Tracker, name: str) -> str | None:
        """Give another tracker that has an unsettled registration of the same name in the same CVAT."""
        for other in self._others(tracker):
            if other.status.registration is not None and other.status.registration.name == name:
                return other.key
        return None

    def _others(self, tracker: Tracker) -> list[Tracker]:
        with self._lock:
            known = list(self._trackers.values())
        url = tracker.spec.cvat.url.rstrip("/")
        return [
            other
            for other in known
            if other.metadata.uid != tracker.metadata.uid and other.spec.cvat.url.rstrip("/") == url
        ]


def _version(tracker: Tracker) -> int:
    """Order versions, as etcd counts them: for all objects together."""
    return int(tracker.metadata.resource_version)
