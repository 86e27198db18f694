"""When each function of an account was last seen in CVAT, so that a thousand trackers need not ask each.

Only that a function is there is remembered, and only for some seconds: that it is not, CVAT must say when it
is asked. Whether a registration came to something is never decided by it either: that takes a listing made
after the intent was written.

Who asks for a few functions has each fetched. Who asks for many, in the same seconds, has all listed in one
request, and then served from that list until it is old.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from sam2_operator.core.observed import Function
    from sam2_operator.core.ports import Clock

FRESH_SECONDS = 25.0
"""How old a list may be. With the longest interval it stays below what a repair may take; one of
15 s was waited for by one reconcile in thirteen, where an account had fifty trackers."""
_REMEMBERED_SECONDS = 300.0
"""How old a sighting may be where CVAT is too slow to be asked."""
_FEW = 4
"""As many functions, wanted within the seconds that a list is fresh, are fetched one by one."""
_MAX_SEEN = 20_000


class Sightings:
    """Functions as they were seen; safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._seen: OrderedDict[int, tuple[float, Function]] = OrderedDict()
        self._wanted: dict[int, float] = {}
        self._listed_at = -FRESH_SECONDS
        self._listed: set[int] = set()
        self._pages = 1
        self._changed_at = -FRESH_SECONDS

    def now(self) -> float:
        """Give the time by which sightings age."""
        return self._clock.monotonic()

    def wanted(self, function_id: int) -> Function | None:
        """Take note that a function is wanted; give it if a fresh list has it."""
        now = self._clock.monotonic()
        with self._lock:
            self._wanted[function_id] = now
            is_fresh = now - self._listed_at <= FRESH_SECONDS
            if not is_fresh or function_id not in self._listed or not self._many_are_wanted(now):
                return None
            return self._seen[function_id][1]

    def listing(self) -> tuple[Function, ...] | None:
        """Give all functions by the last list, less those deleted since, if it is fresh.

        It is not if something may have been made since.
        """
        now = self._clock.monotonic()
        with self._lock:
            if now - self._listed_at > FRESH_SECONDS or self._listed_at <= self._changed_at:
                return None
            return tuple(self._seen[each][1] for each in sorted(self._listed))

    def listing_is_cheaper(self) -> bool:
        """Whether so many functions are wanted that to list all costs CVAT less than to fetch each."""
        now = self._clock.monotonic()
        with self._lock:
            return now - self._listed_at > FRESH_SECONDS and self._many_are_wanted(now)

    def remembered(self, function_id: int) -> Function | None:
        """Give a function as it was some minutes ago at most."""
        with self._lock:
            at, function = self._seen.get(function_id, (0.0, None))
        return function if self._clock.monotonic() - at <= _REMEMBERED_SECONDS else None

    def note(self, function: Function) -> None:
        """Take in a function as CVAT shows it now."""
        with self._lock:
            self._keep(function, self._clock.monotonic())

    def note_listing(self, functions: Collection[Function], *, pages: int, at: float) -> None:
        """Take in all functions as CVAT listed them, in so many pages, from that time on."""
        with self._lock:
            self._listed_at, self._pages = at, pages
            self._listed = {function.id for function in functions}
            for function in functions:
                self._keep(function, at)

    def note_change(self) -> None:
        """Take note that CVAT may have made functions by now."""
        now = self._clock.monotonic()
        with self._lock:
            self._changed_at = now

    def forget(self, function_id: int) -> None:
        """Drop a function that is gone, or is about to go."""
        with self._lock:
            self._seen.pop(function_id, None)
            self._listed -= {function_id}

    def _many_are_wanted(self, now: float) -> bool:
        self._wanted = {each: at for each, at in self._wanted.items() if now - at <= FRESH_SECONDS}
        return len(self._wanted) > max(_FEW, self._pages)

    def _keep(self, function: Function, at: float) -> None:
        self._seen[function.id] = (at, function)
        self._seen.move_to_end(function.id)
        if len(self._seen) > _MAX_SEEN:
            self._listed -= {self._seen.popitem(last=False)[0]}
