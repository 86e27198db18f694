"""Computing one step of several tracks on one frame, and publishing what it found.

The answers are published before anything builds on them: whoever comes after goes on from there.  What stands
afterwards is the answer, also where it is another's.  Memories are written behind (`behind`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sam2_agent.core.behind import Aftermath, WriteBehind
from sam2_agent.core.footage import Footage
from sam2_agent.core.ports import Compute, Events, Key, Publication, Store
from sam2_agent.core.progress import Progress
from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.records import Answer, AnswerShape, dump_answer
from sam2_agent.core.restore import records_read
from sam2_agent.core.shapes import write_points
from sam2_agent.core.survivors import Survivors
from sam2_agent.core.tracking import MEMORY_FRAMES, Features, Memory, Output, Tracker
from sam2_agent.errors import RequestRefused

MEMORIES_KEPT = MEMORY_FRAMES + 2
"""Memories of a track kept in Redis besides the prompt's: what is read while the last two are written."""


@dataclass(frozen=True, slots=True, eq=False)
class _Taken:
    """A step of a track that was just published, and the steps whose memory nobody needs any more."""

    track: Progress
    index: int
    gone: Collection[int]

    def name(self, index: int) -> str:
        return self.track.steps.name(index)


class Rounds:
    """Takes tracks one step on, all of them on the same frame."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        compute: Compute,
        footage: Footage,
        store: Store,
        survivors: Survivors,
        behind: WriteBehind,
        recent: Recent,
        events: Events,
    ) -> None:
        self._tracker = tracker
        self._compute = compute
        self._footage = footage
        self._store = store
        self._survivors = survivors
        self._behind = behind
        self._recent = recent
        self._events = events

    async def advance(self, tracks: Sequence[Progress], token: str) -> None:
        """Compute the next step of each of these tracks, which all read the same frame, and publish it."""
        first = tracks[0].steps
        frame, _ = tracks[0].next_frame
        features = await self._footage.encoded(first.state.task, frame)
        for track in tracks:
            _require_size(track, frame, features.size)
        computed = await self._compute(self._run, features, tracks)
        self._events.computed(len(tracks))
        answers = await self._publish(tracks, [record for record, _ in computed], token)
        taken = [
            self._take(track, answer, memory)
            for track, answer, (_, memory) in zip(tracks, answers, computed, strict=True)
        ]
        await self._leave(taken)

    def _run(self, features: Features, tracks: Sequence[Progress]) -> list[tuple[bytes, Memory]]:
        """The model's part, apart from the event loop: the answer's record and the memory of each step."""
        if tracks[0].todo[0] == 0:
            outputs = self._tracker.prompt(features, [track.steps.state.prompt() for track in tracks])
        else:
            outputs = self._tracker.step(features, [track.next_context() for track in tracks])
        return [self._result(track, output) for track, output in zip(tracks, outputs, strict=True)]

    def _result(self, track: Progress, output: Output) -> tuple[bytes, Memory]:
        remembered = output.remembered
        if remembered.memory is None:
            raise ValueError("a tracker's output has no memory")
        shape_type = track.steps.state.shape
        # CVAT has the prompt's shape itself.
        points = write_points(shape_type, output.mask) if track.todo[0] else None
        shape = None if points is None else AnswerShape(type=shape_type, points=points)
        answer = Answer(shape, remembered.pointer, remembered.score)
        return dump_answer(answer, track.next_name, self._tracker.fingerprint), remembered.memory

    async def _publish(
        self, tracks: Sequence[Progress], records: Sequence[bytes], token: str
    ) -> list[Answer]:
        """Publish the answers of the next steps and return those that stand."""
        standing: list[Answer | None] = [None] * len(tracks)
        while pending := [place for place, answer in enumerate(standing) if answer is None]:
            publications = [
                Publication(
                    Key("answer", tracks[place].next_name),
                    records[place],
                    tracks[place].damaged.get(tracks[place].todo[0], b""),
                )
                for place in pending
            ]
            for place, data in zip(pending, await self._store.publish(token, publications), strict=True):
                standing[place] = self._survivors.read_answer(tracks[place], tracks[place].todo[0], data)
                if standing[place] is None and data == records[place]:
                    raise ValueError("the agent cannot read an answer that it wrote")
        return [answer for answer in standing if answer is not None]

    def _take(self, track: Progress, answer: Answer, memory: Memory) -> _Taken:
        """Make what was published known to later steps."""
        name, index = track.next_name, track.todo.pop(0)
        pointer = Pointer(answer.pointer, answer.score)
        track.pointers[index], track.memories[index] = pointer, memory
        self._recent.pointers.put(name, pointer)
        self._recent.memories.put(name, memory)
        # The one that this step puts out of reach, and what was restored only to restore others.
        gone = {i for i in (index - MEMORIES_KEPT, *track.memories) if 0 < i <= index - MEMORIES_KEPT}
        for i in gone:
            track.memories.pop(i, None)
        if index == track.steps.last:
            track.newest = answer
        return _Taken(track, index, gone)

    async def _leave(self, done: Sequence[_Taken]) -> None:
        """Have the memories of the steps just taken written behind the answer."""
        aftermath = Aftermath(
            memories=[(each.name(each.index), each.track.memories[each.index]) for each in done],
            used=[
                Key(kind, each.name(i)) for each in done if each.index for kind, i in records_read(each.index)
            ],
            gone=[each.name(i) for each in done for i in each.gone],
        )
        if any(each.track.todo for each in done):
            await self._behind.put(aftermath)
        else:
            self._behind.put_now(aftermath)


def _require_size(track: Progress, frame: int, size: tuple[int, int]) -> None:
    began = track.steps.state.size
    if size != began:
        raise RequestRefused(
            f"Frame {frame} is {size[0]}x{size[1]} pixels, but the track began on a frame of "
            f"{began[0]}x{began[1]}; all frames of a track must have the same size."
        )
