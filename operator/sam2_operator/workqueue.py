"""Keys that wait for a worker, as controller-runtime's workqueue keeps them.

Three rules make level-triggered work out of notifications:

- a key that is added many times is handed out once;
- a key is never handed out to two workers at once: added meanwhile, it waits until the first is done;
- a key can be added for later; of several times the earliest counts.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Key = TypeVar("Key")


class Workqueue(Generic[Key]):
    """Belongs to one event loop."""

    def __init__(self, waited: Callable[[float], None] = lambda _: None) -> None:
        """Tell `waited` of each key for how many seconds it was ready before a worker took it."""
        self._waited = waited
        self._ready: dict[Key, float] = {}
        """Since when each key could be handed out, the oldest first."""
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()
        self._closed = False

    def add(self, key: Key) -> None:
        """Hand the key out as soon as a worker is free."""
        self._cancel(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().time()
            self._changed.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Hand the key out in so many seconds, unless that happens earlier anyway."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + seconds
        if timer is None or when < timer.when():
            self._cancel(key)
            self._timers[key] = loop.call_at(when, self.add, key)

    def __len__(self) -> int:
        """Give how many keys could be handed out now, if there were workers."""
        return len(self._ready)

    async def get(self) -> Key | None:
        """Wait for a key; None when there will be no more. `done` has to follow."""
        while not self._closed:
            if self._ready:
                key = next(iter(self._ready))
                self._waited(asyncio.get_running_loop().time() - self._ready.pop(key))
                self._working.add(key)
                return key
            self._changed.clear()
            await self._changed.wait()
        return None

    def done(self, key: Key) -> None:
        """Tell that the work on a key has ended."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Hand out nothing any more."""
        self._closed = True
        for key in list(self._timers):
            self._cancel(key)
        self._changed.set()

    def _cancel(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
