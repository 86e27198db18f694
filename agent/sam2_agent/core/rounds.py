"""Taking tracks one step on: the model runs (`stepping`), and what it found is published.

The answers are published before anything builds on them: whoever comes after goes on from there.  What stands
afterwards is the answer, also where it is another's.  When memories are written, `behind.Keeping` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from sam2_agent.core.behind import Aftermath, Keeping
from sam2_agent.core.ports import Key, Publication, Records
from sam2_agent.core.progress import P, Progress, Steps
from sam2_agent.core.recent import Pointer, Recent
from sam2_agent.core.records import Answer
from sam2_agent.core.restore import records_read
from sam2_agent.core.stepping import Stepping
from sam2_agent.core.survivors import Survivors
from sam2_agent.core.tracking import MEMORY_FRAMES, Memory

MEMORIES_KEPT = MEMORY_FRAMES + 2
"""Memories of a track kept in Redis besides the prompt's: what is read while the last two are written."""


class Rounds(Generic[P]):
    """Takes tracks one step on, all of them on the same frame."""

    def __init__(
        self,
        *,
        stepping: Stepping[P],
        store: Records,
        survivors: Survivors,
        keeping: Keeping,
        recent: Recent,
    ) -> None:
        self._stepping = stepping
        self._store = store
        self._survivors = survivors
        self._keeping = keeping
        self._recent = recent

    async def advance(
        self, tracks: Sequence[Progress[P]], token: str, on_computed: Callable[[], None]
    ) -> None:
        """Compute the next step of each of these tracks, which all read the same frame, and publish it."""
        computed = await self._stepping.computed(tracks)
        on_computed()
        aftermath = _aftermath(tracks, [each.memory for each in computed])
        await self._keeping.before(aftermath, token)
        answers = await self._publish(tracks, [each.record for each in computed], token)
        for track, answer, each in zip(tracks, answers, computed, strict=True):
            self._take(track, answer, each.memory)
        await self._keeping.after(aftermath, more=any(track.todo for track in tracks))

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
        tracks=tracks[0].steps.name(0),
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
