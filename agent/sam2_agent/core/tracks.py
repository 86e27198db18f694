"""Going on with tracks: an answer that stands is given again, what is missing is computed and published.

One request, for all its objects together:

1. Read the answers of the newest steps.  An object whose answer stands is done.
2. For the others find what their step reads: in this process, else in Redis.  Where something is missing,
   plan which earlier steps to compute again (`restore.missing`).
3. Compute step by step, all objects on the same frame in one call, and publish each round before the next
   begins: so whoever comes after goes on from there.  What stands afterwards is the answer, also where it is
   another's.
4. Memories are written behind (`behind`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sam2_agent.core.behind import Aftermath, WriteBehind
from sam2_agent.core.footage import Footage
from sam2_agent.core.ports import Clock, Compute, Events, Key, Kind, Publication, Store
from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.records import Answer, AnswerShape, dump_answer, load_answer, load_memory
from sam2_agent.core.restore import memories_read, missing, pointers_read
from sam2_agent.core.shapes import write_points
from sam2_agent.core.state import Steps
from sam2_agent.core.tracking import MEMORY_FRAMES, Context, Features, Memory, Output, Remembered, Tracker
from sam2_agent.errors import DamagedRecord, RequestRefused

MEMORIES_KEPT = MEMORY_FRAMES + 2
"""Memories of a track kept in Redis besides the prompt's: what is read while the last two are written."""

_KINDS: tuple[Kind, Kind] = ("answer", "memory")

LOOK_BACK = 64
LOOK_BACK_AT_MOST = 4096
"""How many earlier steps one read looks at when a track is restored, at first and in the end."""


@dataclass(eq=False, slots=True)
class _Track:
    """One object on the way to its newest step, and what is known of its steps by index."""

    steps: Steps
    pointers: dict[int, Pointer] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)
    damaged: dict[int, bytes] = field(default_factory=dict)
    looked_at: set[tuple[Kind, int]] = field(default_factory=set)
    todo: list[int] = field(default_factory=list)
    newest: Answer | None = None

    @property
    def next_frame(self) -> tuple[int, bool]:
        """The frame of the next step to compute, and whether it is the prompt's step."""
        return self.steps.frame(self.todo[0]), self.todo[0] == 0

    def remembered(self, index: int, *, with_memory: bool = True) -> Remembered:
        pointer = self.pointers[index]
        return Remembered(index, pointer.vector, pointer.score, self.memories[index] if with_memory else None)

    def context(self, index: int) -> Context:
        with_memory = memories_read(index)
        recent = (self.remembered(i, with_memory=i in with_memory) for i in pointers_read(index))
        return Context(index, self.steps.state.window, self.remembered(0), tuple(recent))


class Tracks:
    """Answers for tracks; see the module.

    `patience` is how many seconds a request may spend on restoring tracks before it is refused; what was
    restored by then is published, and the next request goes on from there.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        compute: Compute,
        footage: Footage,
        store: Store,
        behind: WriteBehind,
        recent: Recent,
        clock: Clock,
        events: Events,
        patience: float,
    ) -> None:
        self._tracker = tracker
        self._compute = compute
        self._footage = footage
        self._store = store
        self._behind = behind
        self._recent = recent
        self._clock = clock
        self._events = events
        self._patience = patience

    async def reach(self, wanted: Sequence[Steps], token: str) -> list[Answer]:
        """Return the answer of the newest step of each track; all newest steps read the same frame.

        Raises `RequestRefused`, `Unavailable` or `LeaseLost`; what was published until then stands.
        """
        tracks = {steps.name(steps.last): _Track(steps) for steps in wanted}
        await self._read_newest(tracks.values())
        late = [track for track in tracks.values() if track.newest is None]
        self._events.reused(len(tracks) - len(late))
        give_up_at = self._clock.now() + self._patience
        await self._plan(late, give_up_at)
        while late := [track for track in late if track.todo]:
            if any(len(track.todo) > 1 for track in late):
                self._require_time(give_up_at)
            frame = min(late, key=lambda track: track.todo[0]).next_frame
            await self._advance([track for track in late if track.next_frame == frame], token)
        return [answer for steps in wanted if (answer := tracks[steps.name(steps.last)].newest)]

    async def _read_newest(self, tracks: Iterable[_Track]) -> None:
        """Find the answers that stand already."""
        keys = [(track, Key("answer", track.steps.name(track.steps.last))) for track in tracks]
        for (track, key), data in zip(keys, await self._store.read([key for _, key in keys]), strict=True):
            if data is not None:
                track.newest = self._load_answer(track, track.steps.last, key.name, data)

    async def _plan(self, tracks: Sequence[_Track], give_up_at: float) -> None:
        """Find what the newest steps read; set what to compute, also what is missing."""
        await self._look_at(
            (track, kind, index)
            for track in tracks
            if (last := track.steps.last)
            for kind, index in _read_by(last)
        )
        for track in tracks:
            track.todo = await self._missing(track, give_up_at) if track.steps.last else []
            self._events.restored(len(track.todo))
            track.todo.append(track.steps.last)

    async def _missing(self, track: _Track, give_up_at: float) -> list[int]:
        """Return the earlier steps to compute again, looking back until the plan stands on records."""
        look_back = LOOK_BACK
        while True:
            plan = missing(track.steps.last, track.pointers, track.memories)
            unknown = [i for i in plan if not {("answer", i), ("memory", i)} <= track.looked_at]
            if not unknown:
                return plan
            self._require_time(give_up_at)
            nearest = unknown[-look_back:]
            await self._look_at((track, kind, i) for i in nearest for kind in _KINDS)
            look_back = min(2 * look_back, LOOK_BACK_AT_MOST)

    def _require_time(self, give_up_at: float) -> None:
        if self._clock.now() > give_up_at:
            raise RequestRefused(
                "The agent is restoring this track, which takes a while; run the action again."
            )

    async def _look_at(self, wanted: Iterable[tuple[_Track, Kind, int]]) -> None:
        """Find out which of these records survive: in this process, else in Redis."""
        unknown: list[tuple[_Track, int, Key]] = []
        for track, kind, index in wanted:
            if (kind, index) not in track.looked_at and not self._recall(track, kind, index):
                unknown.append((track, index, Key(kind, track.steps.name(index))))
            track.looked_at.add((kind, index))
        if not unknown:
            return
        stored = await self._store.read([key for _, _, key in unknown])
        found = [(*place, data) for place, data in zip(unknown, stored, strict=True) if data is not None]
        for track, index, key, data in found:
            if key.kind == "answer" and (answer := self._load_answer(track, index, key.name, data)):
                track.pointers[index] = Pointer(answer.pointer, answer.score)
        await self._load_memories([place for place in found if place[2].kind == "memory"])

    def _recall(self, track: _Track, kind: Kind, index: int) -> bool:
        """Take a record from this process; return whether it was there."""
        name = track.steps.name(index)
        if kind == "answer":
            if (pointer := self._recent.pointers.get(name)) is not None:
                track.pointers[index] = pointer
        elif (memory := self._recent.memories.get(name)) is not None:
            track.memories[index] = memory
        return index in (track.pointers if kind == "answer" else track.memories)

    async def _advance(self, tracks: Sequence[_Track], token: str) -> None:
        """Compute the next step of each of these tracks, which all read the same frame, and publish it."""
        first = tracks[0].steps
        frame, _ = tracks[0].next_frame
        features = await self._footage.encoded(first.state.task, frame)
        for track in tracks:
            if features.size != track.steps.state.size:
                raise RequestRefused(
                    f"Frame {frame} is {_size(features.size)} pixels, but the track began on a frame of "
                    f"{_size(track.steps.state.size)}; all frames of a track must have the same size."
                )
        computed = await self._compute(self._run, features, tracks)
        self._events.computed(len(tracks))
        answers = await self._publish(tracks, [answer for answer, _ in computed], token)
        taken = [
            (track, self._take(track, answer, memory))
            for track, answer, (_, memory) in zip(tracks, answers, computed, strict=True)
        ]
        await self._leave(taken)

    def _run(self, features: Features, tracks: Sequence[_Track]) -> list[tuple[Answer, Memory]]:
        """The model's part, apart from the event loop."""
        if tracks[0].todo[0] == 0:
            outputs = self._tracker.prompt(features, [track.steps.state.prompt() for track in tracks])
        else:
            outputs = self._tracker.step(features, [track.context(track.todo[0]) for track in tracks])
        return [_result(track, output) for track, output in zip(tracks, outputs, strict=True)]

    async def _publish(self, tracks: Sequence[_Track], answers: Sequence[Answer], token: str) -> list[Answer]:
        """Publish the answers of the next steps and return those that stand."""
        fingerprint = self._tracker.fingerprint
        standing: list[Answer | None] = [None] * len(tracks)
        while pending := [place for place, answer in enumerate(standing) if answer is None]:
            names = [tracks[place].steps.name(tracks[place].todo[0]) for place in pending]
            publications = [
                Publication(
                    Key("answer", name),
                    dump_answer(answers[place], name, fingerprint),
                    tracks[place].damaged.get(tracks[place].todo[0], b""),
                )
                for place, name in zip(pending, names, strict=True)
            ]
            stored = await self._store.publish(token, publications)
            for place, name, data in zip(pending, names, stored, strict=True):
                standing[place] = self._load_answer(tracks[place], tracks[place].todo[0], name, data)
        return [answer for answer in standing if answer is not None]

    def _take(self, track: _Track, answer: Answer, memory: Memory) -> int:
        """Make what was published known to later steps; return which step it was."""
        index = track.todo.pop(0)
        name = track.steps.name(index)
        pointer = Pointer(answer.pointer, answer.score)
        track.pointers[index], track.memories[index] = pointer, memory
        self._recent.pointers.put(name, pointer)
        self._recent.memories.put(name, memory)
        if index > MEMORIES_KEPT:
            track.memories.pop(index - MEMORIES_KEPT, None)
        if index == track.steps.last:
            track.newest = answer
        return index

    async def _leave(self, done: Sequence[tuple[_Track, int]]) -> None:
        """Have the memories of the steps just taken written behind the answer."""
        aftermath = Aftermath(
            memories=[(track.steps.name(index), track.memories[index]) for track, index in done],
            used=[
                Key(kind, track.steps.name(i))
                for track, index in done
                if index
                for kind, i in _read_by(index)
            ],
            gone=[track.steps.name(i - MEMORIES_KEPT) for track, i in done if i > MEMORIES_KEPT],
        )
        if any(track.todo for track, _ in done):
            await self._behind.put(aftermath)
        else:
            self._behind.put_now(aftermath)

    def _load_answer(self, track: _Track, index: int, name: str, data: bytes) -> Answer | None:
        """Read an answer; a damaged one counts as missing and may be replaced."""
        try:
            return load_answer(data, name, self._tracker.fingerprint)
        except DamagedRecord:
            self._events.damaged("answer")
            track.damaged[index] = data
            return None

    async def _load_memories(self, found: Sequence[tuple[_Track, int, Key, bytes]]) -> None:
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


def _read_by(index: int) -> Iterator[tuple[Kind, int]]:
    """The records that step `index` (>= 1) reads."""
    for step in (0, *pointers_read(index)):
        yield "answer", step
    for step in (0, *memories_read(index)):
        yield "memory", step


def _result(track: _Track, output: Output) -> tuple[Answer, Memory]:
    index = track.todo[0]
    remembered = output.remembered
    if remembered.memory is None:
        raise ValueError("a tracker's output has no memory")
    shape_type = track.steps.state.shape
    points = write_points(shape_type, output.mask) if index else None  # CVAT has the prompt's shape itself
    shape = None if points is None else AnswerShape(type=shape_type, points=points)
    return Answer(shape, remembered.pointer, remembered.score), remembered.memory


def _size(size: tuple[int, int]) -> str:
    width, height = size
    return f"{width}x{height}"
