"""When memories are written to Redis: behind the answers, or before them (`ahead`).

Behind, where frames can be fetched again: memory is large and only a cache then; an agent that dies before
it is written leaves a few steps to compute again.  So no answer waits for it, and of each track it is at most
two steps late, one being written and one waiting: where Redis is slower than that, the waiting one is
dropped.  What it was to remove is removed with the next, so that Redis holds no more memories of a track than
are read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sam2_agent.core.ports import Compute, Events, Key, Records
from sam2_agent.core.progress import Progress
from sam2_agent.core.records import dump_memory
from sam2_agent.core.tracking import Memory, Tracker
from sam2_agent.errors import Unavailable

log = logging.getLogger(__name__)


WAITING_AT_MOST = 16
"""Of so many requests the memories may wait, each of other tracks."""

OWED_AT_MOST = 1024
"""So many memories are remembered to be removed later; what is forgotten expires."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What one step leaves to be written; see `ports.Store.remember`.

    `tracks` tells whose it is: the same for the steps of the same tracks.
    """

    tracks: str
    memories: Sequence[tuple[str, Memory]]
    used: Sequence[Key]
    gone: Sequence[str]
    links: Mapping[str, bytes] = field(default_factory=dict)


class Keeping(Protocol):
    """Has what steps leave written."""

    async def incomplete(self, standing: Sequence[Progress[Any]], token: str) -> list[Progress[Any]]:
        """Return the tracks whose answer stands, but whose newest step has to be computed again.

        For without its memory nobody could go on from it.  May raise `Unavailable` or `LeaseLost`.
        """

    async def before(self, aftermath: Aftermath, token: str) -> None:
        """Called before the answers are published; may raise `Unavailable` or `LeaseLost`."""

    async def after(self, aftermath: Aftermath, *, more: bool) -> None:
        """Called when the answers stand; `more` where the request goes on with further steps."""


class WriteBehind:
    """Writes what it is given, in order, while `run` runs."""

    def __init__(self, store: Records, tracker: Tracker, apart: Compute, events: Events) -> None:
        self._store = store
        self._tracker = tracker
        self._apart = apart
        self._events = events
        self._waiting: dict[str, Aftermath] = {}
        self._writing = False
        self._change = asyncio.Condition()
        self._owed: deque[str] = deque(maxlen=OWED_AT_MOST)

    async def incomplete(self, standing: Sequence[Progress[Any]], token: str) -> list[Progress[Any]]:  # noqa: ARG002
        """None: a memory that is lost is computed again when it is read."""
        return []

    async def before(self, aftermath: Aftermath, token: str) -> None:
        """Nothing is written before the answers."""

    async def after(self, aftermath: Aftermath, *, more: bool) -> None:
        """Have this written soon, instead of what still waits of the same tracks.

        Only where more steps follow it waits for that to be written.
        """
        async with self._change:
            if more:
                await self._change.wait_for(lambda: aftermath.tracks not in self._waiting)
            if aftermath.tracks in self._waiting:
                self._drop(aftermath.tracks)
            self._waiting[aftermath.tracks] = aftermath
            while len(self._waiting) > WAITING_AT_MOST:
                self._drop(next(iter(self._waiting)))
            self._change.notify_all()

    def _drop(self, tracks: str) -> None:
        dropped = self._waiting.pop(tracks)
        self._owed.extend(dropped.gone)
        self._events.memories_dropped(len(dropped.memories))

    async def flushed(self) -> None:
        """Return when everything is written or given up."""
        async with self._change:
            await self._change.wait_for(lambda: not self._waiting and not self._writing)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            async with self._change:
                await self._change.wait_for(lambda: bool(self._waiting))
                aftermath = self._waiting.pop(next(iter(self._waiting)))
                self._writing = True
                self._change.notify_all()
            await self._write(aftermath)
            async with self._change:
                self._writing = False
                self._change.notify_all()

    async def _write(self, aftermath: Aftermath) -> None:
        gone = [*self._owed, *aftermath.gone]
        self._owed.clear()
        try:
            records = await self._apart(dump, self._tracker, aftermath)
            await self._store.remember(records, aftermath.used, gone)
        except Unavailable as trouble:
            self._owed.extend(gone)
            self._events.unavailable(trouble.reason)
            self._events.memories_dropped(len(aftermath.memories))
            log.warning("Memories were not written: %s", trouble, extra={"reason": trouble.reason})


def dump(tracker: Tracker, aftermath: Aftermath) -> dict[Key, bytes]:
    """Write the records; not in the event loop, for memory is large, and may live on a GPU."""
    records = dump_memories(tracker, aftermath.memories)
    return records | {Key("link", name): link for name, link in aftermath.links.items()}


def dump_memories(tracker: Tracker, memories: Iterable[tuple[str, Memory]]) -> dict[Key, bytes]:
    """Write the records of memories; not in the event loop, for they are large."""
    return {
        Key("memory", name): dump_memory(tracker.dump_memory(memory), name, tracker.fingerprint)
        for name, memory in memories
    }
