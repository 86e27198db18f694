"""Writing memories to Redis after the answer is out.

Memory is large and only a cache: an agent that dies before it is written leaves a few steps to compute again.
So no answer waits for it, and it is at most two steps late, one being written and one waiting: where Redis is
slower than that, the waiting one is dropped.  What it was to remove is removed with the next, so that Redis
holds no more memories of a track than are read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from sam2_agent.core.ports import Compute, Events, Key, Store
from sam2_agent.core.records import dump_memory
from sam2_agent.core.tracking import Memory, Tracker
from sam2_agent.errors import Unavailable

log = logging.getLogger(__name__)


OWED_AT_MOST = 1024
"""So many memories are remembered to be removed later; what is forgotten expires."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What one step leaves to be written; see `ports.Store.remember`."""

    memories: Sequence[tuple[str, Memory]]
    used: Sequence[Key]
    gone: Sequence[str]


class WriteBehind:
    """Writes what is put into it, in order, while `run` runs."""

    def __init__(self, store: Store, tracker: Tracker, compute: Compute, events: Events) -> None:
        self._store = store
        self._tracker = tracker
        self._compute = compute
        self._events = events
        self._waiting: asyncio.Queue[Aftermath] = asyncio.Queue(maxsize=1)
        self._owed: deque[str] = deque(maxlen=OWED_AT_MOST)

    def put_now(self, aftermath: Aftermath) -> None:
        """Have this written soon, instead of what is still waiting."""
        if self._waiting.full():
            dropped = self._waiting.get_nowait()
            self._waiting.task_done()
            self._owed.extend(dropped.gone)
            self._events.memories_dropped(len(dropped.memories))
        self._waiting.put_nowait(aftermath)

    async def put(self, aftermath: Aftermath) -> None:
        """Have this written soon, after what is still waiting."""
        await self._waiting.put(aftermath)

    async def flushed(self) -> None:
        """Return when everything is written or given up."""
        await self._waiting.join()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            aftermath = await self._waiting.get()
            gone = [*self._owed, *aftermath.gone]
            self._owed.clear()
            try:
                memories = await self._compute(self._dump, aftermath.memories)
                await self._store.remember(memories, aftermath.used, gone)
            except Unavailable as trouble:
                self._owed.extend(gone)
                self._events.unavailable(trouble.reason)
                self._events.memories_dropped(len(aftermath.memories))
                log.warning("Memories were not written: %s", trouble, extra={"reason": trouble.reason})
            finally:
                self._waiting.task_done()

    def _dump(self, memories: Sequence[tuple[str, Memory]]) -> dict[str, bytes]:
        fingerprint = self._tracker.fingerprint
        return {
            name: dump_memory(self._tracker.dump_memory(memory), name, fingerprint)
            for name, memory in memories
        }
