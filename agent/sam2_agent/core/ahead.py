"""Memories and links written before the answers, where frames cannot be fetched again.

What an answer promises to go on with must be there before it is out, and live as long as it.  Redis is all
that a successor has: what it lost, as one that was restarted loses its last second, is written again while
this process still has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sam2_agent.core.behind import Aftermath, dump, dump_memories
from sam2_agent.core.ports import Compute, Key, Publication, Records
from sam2_agent.core.progress import Progress, Steps
from sam2_agent.core.recent import Recent
from sam2_agent.core.restore import records_read
from sam2_agent.core.tracking import Tracker


class WriteAhead:
    """Writes before the answers, and lets live anew what an answer needs; see `behind.Keeping`."""

    def __init__(self, store: Records, tracker: Tracker, compute: Compute, recent: Recent) -> None:
        self._store = store
        self._tracker = tracker
        self._compute = compute
        self._recent = recent

    async def incomplete(self, standing: Sequence[Progress[Any]], token: str) -> list[Progress[Any]]:
        """Let live anew what goes on from these answers; return the tracks whose newest memory is lost."""
        tracks = [(track, track.steps, track.steps.last) for track in standing]
        links = {
            Key("link", steps.name(last)): link
            for _, steps, last in tracks
            if (link := steps.link(last)) is not None
        }
        used = [key for _, steps, last in tracks for key in _needed_after(steps, last)]
        lost = await self._write_again(await self._store.remember(links, used, []), token)
        return [track for track, steps, last in tracks if Key("memory", steps.name(last)) in lost]

    async def before(self, aftermath: Aftermath, token: str) -> None:
        """Write; raises `Unavailable` or `LeaseLost`."""
        records = await self._compute(dump, self._tracker, aftermath)
        for name in aftermath.gone:
            self._recent.memories.drop(name)
        lost = await self._store.remember(records, aftermath.used, aftermath.gone)
        await self._write_again(lost, token)

    async def after(self, aftermath: Aftermath, *, more: bool) -> None:
        """All is written."""

    async def _write_again(self, lost: Sequence[Key], token: str) -> set[Key]:
        """Write what Redis lost and is still in hand; return the rest."""
        memories = {
            key: memory
            for key in lost
            if key.kind == "memory" and (memory := self._recent.memories.get(key.name)) is not None
        }
        links = {
            key: link for key in lost if key.kind == "link" and (link := self._recent.links.get(key.name))
        }
        answers = {
            key: answer
            for key in lost
            if key.kind == "answer" and (answer := self._recent.answers.get(key.name))
        }
        if memories or links:
            named = [(key.name, memory) for key, memory in memories.items()]
            dumped = await self._compute(dump_memories, self._tracker, named)
            await self._store.remember(dumped | links, [], [])
        if answers:
            await self._store.publish(token, [Publication(key, answer) for key, answer in answers.items()])
        return set(lost) - memories.keys() - links.keys() - answers.keys()


def _needed_after(steps: Steps[Any], index: int) -> list[Key]:
    """What is read by the step after this one, and by this one when it is called again."""
    needed = [Key(kind, steps.name(i)) for kind, i in records_read(index + 1)]
    return [*needed, Key("link", steps.name(index - 1))] if index else needed
