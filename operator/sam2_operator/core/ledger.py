"""Which tracker holds which function, so that none adopts another's.

Two trackers may give their functions the same name with the same account. The ledger holds what every
tracker's status says. Another operator may write those as well, while one replaces the other: so where it
matters, it is filled again before something is decided.

It may know trackers that are gone: nobody may tell of their end, and a list read before that may arrive after
it. So holders are asked for before others are refused what they hold (`claims`), and every tracker of the
ledger is reconciled now and then (`keys`), which finds that it is gone. It is remembered until all that the
operator made for it is gone, too.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from sam2_operator.core.settlement import Rival

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sam2_operator.api.tracker import Tracker


class Ledger:
    """The functions held by the trackers; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._trackers: dict[str, Tracker] = {}
        self._servers: dict[tuple[str, int], dict[str, Tracker]] = {}
        """By CVAT and function id: every reconcile asks, and must not look through all trackers for it."""
        self._ended: dict[str, Tracker] = {}
        """By uid: those that are gone, of which something may be left."""
        self.filled = False

    def fill(self, trackers: Iterable[Tracker]) -> None:
        """Take in all trackers there are."""
        for tracker in trackers:
            self.note(tracker)
        self.filled = True

    def note(self, tracker: Tracker) -> None:
        """Take in a tracker as it was at some time; an earlier one of its name has ended."""
        with self._lock:
            known = self._trackers.get(tracker.key)
            if known is not None and _version(known) > _version(tracker):
                return
            self._take_out(tracker.key)
            self._trackers[tracker.key] = tracker
            if (place := _place(tracker)) is not None:
                self._servers.setdefault(place, {})[tracker.key] = tracker
            if known is not None and known.metadata.uid != tracker.metadata.uid:
                self._ended[known.metadata.uid] = known

    def end(self, key: str) -> None:
        """Note that there is no tracker of this name any more."""
        with self._lock:
            if (known := self._take_out(key)) is not None:
                self._ended[known.metadata.uid] = known

    def ended(self, key: str) -> list[Tracker]:
        """Give the trackers of this name that are gone, and of which something may be left."""
        with self._lock:
            return [each for each in self._ended.values() if each.key == key]

    def forget(self, tracker: Tracker) -> None:
        """Drop this very tracker: it is gone, and all that was made for it."""
        with self._lock:
            self._ended.pop(tracker.metadata.uid, None)
            known = self._trackers.get(tracker.key)
            if known is not None and known.metadata.uid == tracker.metadata.uid:
                self._take_out(tracker.key)

    def keys(self) -> list[tuple[str, str]]:
        """Give namespace and name of all trackers in it."""
        with self._lock:
            known = [*self._trackers.values(), *self._ended.values()]
        return [(each.metadata.namespace, each.metadata.name) for each in known]

    def claimed(self, tracker: Tracker) -> frozenset[int]:
        """Give the ids that other trackers of the same CVAT hold."""
        return frozenset(function_id for other in self._others(tracker) for function_id in _held(other))

    def holders(self, tracker: Tracker, function_id: int) -> list[Tracker]:
        """Give the other trackers of the same CVAT that hold this function, to be served or to be deleted."""
        return [other for other in self._others(tracker) if function_id in _held(other)]

    def servers(self, tracker: Tracker, function_id: int) -> list[Tracker]:
        """Give the other trackers of the same CVAT that have this function for their agent."""
        with self._lock:
            servers = list(self._servers.get((tracker.spec.cvat.root, function_id), {}).values())
        return [each for each in servers if each.metadata.uid != tracker.metadata.uid]

    def contenders(self, tracker: Tracker) -> list[Tracker]:
        """Give the other trackers that have a better right to the function that this one has.

        Two operators may both have written it down: one that was given to two trackers by its id, or one that
        came so late that another tracker's interrupted registration had settled for it. Who had it made comes
        before whom it was given to, and else the first by name.
        """
        mine = tracker.status
        if mine.function_id is None or mine.function is None:
            return []
        right = (mine.function.adopted, tracker.key)
        return [
            each
            for each in self.servers(tracker, mine.function_id)
            if each.status.function is not None and (each.status.function.adopted, each.key) < right
        ]

    def rivals(self, tracker: Tracker) -> tuple[Rival, ...]:
        """Give the other trackers that have an unsettled registration in the same CVAT."""
        return tuple(
            Rival(other.key, other.status.registration)
            for other in self._others(tracker)
            if other.status.registration is not None
        )

    def _take_out(self, key: str) -> Tracker | None:
        known = self._trackers.pop(key, None)
        place = None if known is None else _place(known)
        if place is not None:
            servers = self._servers[place]
            del servers[key]
            if not servers:
                del self._servers[place]
        return known

    def _others(self, tracker: Tracker) -> list[Tracker]:
        with self._lock:
            known = list(self._trackers.values())
        url = tracker.spec.cvat.root
        return [
            other
            for other in known
            if other.metadata.uid != tracker.metadata.uid and other.spec.cvat.root == url
        ]


def _held(tracker: Tracker) -> list[int]:
    status = tracker.status
    current = [] if status.function_id is None else [status.function_id]
    return [*current, *status.obsolete_function_ids]


def _place(tracker: Tracker) -> tuple[str, int] | None:
    function_id = tracker.status.function_id
    return None if function_id is None else (tracker.spec.cvat.root, function_id)


def _version(tracker: Tracker) -> int:
    """Order versions, as etcd counts them: for all objects together."""
    return int(tracker.metadata.resource_version)
