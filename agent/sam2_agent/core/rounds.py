"""Computing one step of several tracks on one frame, and publishing what it found.

The answers are published before anything builds on them: whoever comes after goes on from there.  What stands
afterwards is the answer, also where it is another's.  When memories are written, `behind.Keeping` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from sam2_agent.core.behind import Aftermath, Keeping
from sam2_agent.core.ports import Compute, Events, Key, Publication, Records
from sam2_agent.core.progress import P, Pictures, Progress, Steps
from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.records import Answer, AnswerShape, dump_answer
from sam2_agent.core.restore import records_read
from sam2_agent.core.shapes import write_points
from sam2_agent.core.survivors import Survivors
from sam2_agent.core.tracking import MEMORY_FRAMES, Features, Memory, Output, Tracker
from sam2_agent.errors import RequestRefused

MEMORIES_KEPT = MEMORY_FRAMES + 2
"""Memories of a track kept in Redis besides the prompt's: what is read while the last two are written."""


class Rounds(Generic[P]):
    """Takes tracks one step on, all of them on the same frame."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        compute: Compute,
        pictures: Pictures[P],
        store: Records,
        survivors: Survivors,
        keeping: Keeping,
        recent: Recent,
        events: Events,
    ) -> None:
        self._tracker = tracker
        self._compute = compute
        self._pictures = pictures
        self._store = store
        self._survivors = survivors
        self._keeping = keeping
        self._recent = recent
        self._events = events

    async def advance(self, tracks: Sequence[Progress[P]], token: str) -> None:
        """Compute the next step of each of these tracks, which all read the same frame, and publish it."""
        picture, _ = tracks[0].next_picture
        features = await self._pictures.encoded(picture)
        for track in tracks:
            _require_size(track, features.size)
        computed = await self._compute(self._run, features, tracks)
        self._events.computed(len(tracks))
        aftermath = _aftermath(tracks, [memory for _, memory in computed])
        await self._keeping.before(aftermath, token)
        answers = await self._publish(tracks, [record for record, _ in computed], token)
        for track, answer, (_, memory) in zip(tracks, answers, computed, strict=True):
            self._take(track, answer, memory)
        await self._keeping.after(aftermath, more=any(track.todo for track in tracks))

    def _run(self, features: Features, tracks: Sequence[Progress[P]]) -> list[tuple[bytes, Memory]]:
        """The model's part, apart from the event loop: the answer's record and the memory of each step."""
        if tracks[0].todo[0] == 0:
            outputs = self._tracker.prompt(features, [track.steps.prompt() for track in tracks])
        else:
            outputs = self._tracker.step(features, [track.next_context() for track in tracks])
        return [self._result(track, output) for track, output in zip(tracks, outputs, strict=True)]

    def _result(self, track: Progress[P], output: Output) -> tuple[bytes, Memory]:
        remembered = output.remembered
        if remembered.memory is None:
            raise ValueError("a tracker's output has no memory")
        shape_type = track.steps.shape
        # CVAT has the prompt's shape itself.
        points = write_points(shape_type, output.mask) if track.todo[0] else None
        shape = None if points is None else AnswerShape(type=shape_type, points=points)
        answer = Answer(shape, remembered.pointer, remembered.score)
        return dump_answer(answer, track.next_name, self._tracker.fingerprint), remembered.memory

    async def _publish(
        self, tracks: Sequence[Progress[P]], records: Sequence[bytes], token: str
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

    def _take(self, track: Progress[P], answer: Answer, memory: Memory) -> None:
        """Make what was published known to later steps."""
        name = track.next_name
        for i in _out_of_reach(track):
            track.memories.pop(i, None)
        index = track.todo.pop(0)
        pointer = Pointer(answer.pointer, answer.score)
        track.pointers[index], track.memories[index] = pointer, memory
        self._recent.pointers.put(name, pointer)
        self._recent.memories.put(name, memory)
        if index == track.steps.last:
            track.newest = answer


def _aftermath(tracks: Sequence[Progress[P]], memories: Sequence[Memory]) -> Aftermath:
    """What the next step of each track leaves, once it is computed."""
    links = {
        track.next_name: link for track in tracks if (link := track.steps.link(track.todo[0])) is not None
    }
    return Aftermath(
        memories=[(track.next_name, memory) for track, memory in zip(tracks, memories, strict=True)],
        links=links,
        used=[
            key
            for track in tracks
            if (index := track.todo[0])
            for key in _used(track.steps, index, linked=track.next_name in links)
        ],
        gone=[track.steps.name(i) for track in tracks for i in _out_of_reach(track)],
    )


def _used(steps: Steps[P], index: int, *, linked: bool) -> list[Key]:
    """What step `index` (>= 1) reads, and the link that leads to it."""
    used = [Key(kind, steps.name(i)) for kind, i in records_read(index)]
    return [*used, Key("link", steps.name(index - 1))] if linked else used


def _out_of_reach(track: Progress[P]) -> list[int]:
    """The steps whose memory nobody needs any more once the next one is taken.

    That is the one which it puts out of reach, and what was restored only to restore others.
    """
    last = track.todo[0] - MEMORIES_KEPT
    return sorted({i for i in (last, *track.memories) if 0 < i <= last})


def _require_size(track: Progress[P], size: tuple[int, int]) -> None:
    began = track.steps.size
    if size != began:
        told = track.steps.picture_told(track.todo[0])
        raise RequestRefused(
            f"{told} is {size[0]}x{size[1]} pixels, but the track began on a frame of "
            f"{began[0]}x{began[1]}; all frames of a track must have the same size."
        )
