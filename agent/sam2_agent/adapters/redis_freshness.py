"""Which records need their life renewed: most were written or read a moment ago, and live long enough.

A step of one object uses two dozen records, and the next one nearly the same.  To renew each of them every
time would be hundreds of commands a frame for records that have hours left.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

KNOWN = 50_000
"""So many records are known by name; of one that is forgotten the life is renewed when it is used."""

SHARE = 0.1
"""The part of its life after which a record is renewed."""


class Freshness:
    """When records were renewed last, by name; `now` gives seconds that never jump."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._since: OrderedDict[str, float] = OrderedDict()

    def renewed(self, names: Iterable[str]) -> None:
        """Note that records live anew from now on."""
        now = self._now()
        for name in names:
            self._since[name] = now
            self._since.move_to_end(name)
        while len(self._since) > KNOWN:
            self._since.popitem(last=False)

    def stale(self, lives: Mapping[str, float]) -> list[str]:
        """Return the records, of these with the seconds that each lives, that are to be renewed."""
        now = self._now()
        return [
            name
            for name, seconds in lives.items()
            if now - self._since.get(name, float("-inf")) >= SHARE * seconds
        ]
