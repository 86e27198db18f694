"""Which records of a track survive: in this process, else in Redis.

A record that cannot be read counts as missing.  Of an answer the bytes are kept: they are what its successor
may replace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sam2_agent.core.ports import Compute, Events, Key, Kind, Records
from sam2_agent.core.progress import Progress
from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.records import Answer, load_answer, load_memory
from sam2_agent.core.restore import missing, records_read
from sam2_agent.core.tracking import Memory, Tracker
from sam2_agent.errors import DamagedRecord

_KINDS: tuple[Kind, Kind] = ("answer", "memory")

LOOK_BACK = 64
LOOK_BACK_AT_MOST = 4096
"""How many earlier steps one read looks at when a track is restored, at first and in the end."""


class Survivors:
    """Finds the records of tracks, and notes in their `Progress` what it found."""

    def __init__(
        self, *, tracker: Tracker, compute: Compute, store: Records, recent: Recent, events: Events
    ) -> None:
        self._tracker = tracker
        self._compute = compute
        self._store = store
        self._recent = recent
        self._events = events

    async def find_newest(self, tracks: Sequence[Progress[Any]]) -> None:
        """Find the answers of the newest steps that stand already."""
        keys = [Key("answer", track.steps.name(track.steps.last)) for track in tracks]
        for track, data in zip(tracks, await self._store.read(keys), strict=True):
            if data is not None:
                track.newest = self.read_answer(track, track.steps.last, data)

    async def find_read(self, tracks: Iterable[Progress[Any]]) -> None:
        """Find what the newest steps read."""
        await self._look_at(
            (track, kind, index)
            for track in tracks
            if (last := track.steps.last)
            for kind, index in records_read(last)
        )

    def lacks_only_newest(self, track: Progress[Any]) -> bool:
        """Take what the newest step reads from this process alone; whether that is all that is needed.

        It is not where something is missing, nor where the newest step was published already.
        """
        last = track.steps.last
        if self._recent.pointers.get(track.steps.name(last)) is not None:
            return False
        return all(self._recall(track, kind, index) for kind, index in records_read(last))

    async def missing(self, track: Progress[Any], check_time: Callable[[], None]) -> list[int]:
        """Return the earlier steps to compute again, looking back until the plan stands on records.

        `check_time` is called before each look further back, and may raise.
        """
        if track.steps.last == 0:
            return []
        look_back = LOOK_BACK
        while True:
            plan = missing(track.steps.last, track.pointers, track.memories)
            unknown = [i for i in plan if not {("answer", i), ("memory", i)} <= track.looked_at]
            if not unknown:
                return plan
            check_time()
            nearest = unknown[-look_back:]
            await self._look_at((track, kind, i) for i in nearest for kind in _KINDS)
            look_back = min(2 * look_back, LOOK_BACK_AT_MOST)

    def read_answer(self, track: Progress[Any], index: int, data: bytes) -> Answer | None:
        """Read an answer; a damaged one counts as missing and may be replaced."""
        name = track.steps.name(index)
        try:
            answer = load_answer(data, name, self._tracker.fingerprint)
        except DamagedRecord:
            self._events.damaged("answer")
            track.damaged[index] = data
            return None
        self._recent.answers.put(name, data)
        return answer

    async def _look_at(self, wanted: Iterable[tuple[Progress[Any], Kind, int]]) -> None:
        """Find out which of these records survive."""
        unknown: list[tuple[Progress[Any], int, Key]] = []
        for track, kind, index in wanted:
            if (kind, index) not in track.looked_at and not self._recall(track, kind, index):
                unknown.append((track, index, Key(kind, track.steps.name(index))))
            track.looked_at.add((kind, index))
        if not unknown:
            return
        stored = await self._store.read([key for _, _, key in unknown])
        found = [(*place, data) for place, data in zip(unknown, stored, strict=True) if data is not None]
        for track, index, key, data in found:
            if key.kind == "answer" and (answer := self.read_answer(track, index, data)):
                track.pointers[index] = Pointer(answer.pointer, answer.score)
        await self._load_memories([place for place in found if place[2].kind == "memory"])

    def _recall(self, track: Progress[Any], kind: Kind, index: int) -> bool:
        """Take a record from this process; return whether it was there."""
        name = track.steps.name(index)
        if kind == "answer":
            if (pointer := self._recent.pointers.get(name)) is not None:
                track.pointers[index] = pointer
        elif (memory := self._recent.memories.get(name)) is not None:
            track.memories[index] = memory
        return index in (track.pointers if kind == "answer" else track.memories)

    async def _load_memories(self, found: Sequence[tuple[Progress[Any], int, Key, bytes]]) -> None:
        def load() -> list[Memory | None]:
            return [self._load_memory(key.name, data) for _, _, key, data in found]

        loaded = await self._compute(load) if found else []
        for (track, index, key, _), memory in zip(found, loaded, strict=True):
            if memory is not None:
                track.memories[index] = memory
                self._recent.memories.put(key.name, memory)

    def _load_memory(self, name: str, data: bytes) -> Memory | None:
        try:
            return self._tracker.load_memory(load_memory(data, name, self._tracker.fingerprint))
        except DamagedRecord:
            self._events.damaged("memory")
            return None
