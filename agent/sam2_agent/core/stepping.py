"""Running the model: the next step of several tracks, all of them on the same frame.

A step is a pure function of records and a frame, so it may be computed before anybody asks for it
(`foresee`).  Nothing that was foreseen is told, stored or built upon until it is asked for.

Objects go through the model in the batches that it takes at once.  Between two of them another request may
have its turn: nobody waits for all the objects of somebody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic

from sam2_agent.core.ports import Compute, Events
from sam2_agent.core.progress import P, Pictures, Progress
from sam2_agent.core.recent import Computed, Recent
from sam2_agent.core.records import Answer, AnswerShape, dump_answer
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.tracking import Features, Output, Tracker
from sam2_agent.errors import RequestRefused


class Stepping(Generic[P]):
    """Computes the next steps of tracks."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        compute: Compute,
        pictures: Pictures[P],
        recent: Recent,
        events: Events,
    ) -> None:
        self._tracker = tracker
        self._compute = compute
        self._pictures = pictures
        self._recent = recent
        self._events = events
        self._in_the_works: dict[str, asyncio.Event] = {}
        """Steps that the model is foreseeing, and what is set when it no longer is."""

    async def computed(self, tracks: Sequence[Progress[P]]) -> list[Computed]:
        """Return what the next steps give; raises `RequestRefused` or `Unavailable`."""
        found = {track.next_name: await self._foreseen(track.next_name) for track in tracks}
        missing = [track for track in tracks if found[track.next_name] is None]
        self._events.foreseen(len(tracks) - len(missing))
        if missing:
            features = await self._features(missing)
            for batch in self._batches(missing):
                found |= await self._run_batch(features, batch)
        return [each for track in tracks if (each := found[track.next_name]) is not None]

    def has_foreseen(self, name: str) -> bool:
        """Whether the model has computed this step before it was asked for, or is about to."""
        return name in self._in_the_works or self._recent.foreseen.get(name) is not None

    async def foresee(
        self, tracks: Sequence[Progress[P]], spare: SpareTime, wanted: Callable[[], bool]
    ) -> None:
        """Compute the next steps in spare time, for as long as they are wanted; raises as `computed`."""
        left = [track for track in tracks if not self.has_foreseen(track.next_name)]
        async with spare.turn():
            if not (left and wanted()):
                return
            features = await self._features(left)
        for batch in self._batches(left):
            async with spare.turn():
                if not wanted():
                    return
                with self._working_on([track.next_name for track in batch]):
                    for name, each in (await self._run_batch(features, batch)).items():
                        self._recent.foreseen.put(name, each)

    async def _foreseen(self, name: str) -> Computed | None:
        """Take what was foreseen of a step; where it is in the works, wait for that."""
        if working := self._in_the_works.get(name):
            await working.wait()
        computed = self._recent.foreseen.get(name)
        self._recent.foreseen.drop(name)
        return computed

    @contextmanager
    def _working_on(self, names: Sequence[str]) -> Iterator[None]:
        done = asyncio.Event()
        self._in_the_works |= dict.fromkeys(names, done)
        try:
            yield
        finally:
            for name in names:
                del self._in_the_works[name]
            done.set()

    def _batches(self, tracks: Sequence[Progress[P]]) -> Iterator[Sequence[Progress[P]]]:
        size = self._tracker.batch_size
        for begin in range(0, len(tracks), size):
            yield tracks[begin : begin + size]

    async def _features(self, tracks: Sequence[Progress[P]]) -> Features:
        picture, _ = tracks[0].next_picture
        features = await self._pictures.encoded(picture)
        for track in tracks:
            _require_size(track, features.size)
        return features

    async def _run_batch(self, features: Features, tracks: Sequence[Progress[P]]) -> dict[str, Computed]:
        computed = await self._compute(self._run, features, tracks)
        self._events.computed(len(tracks))
        return {track.next_name: each for track, each in zip(tracks, computed, strict=True)}

    def _run(self, features: Features, tracks: Sequence[Progress[P]]) -> list[Computed]:
        """The model's part, apart from the event loop."""
        if tracks[0].todo[0] == 0:
            outputs = self._tracker.prompt(features, [track.steps.prompt() for track in tracks])
        else:
            outputs = self._tracker.step(features, [track.next_context() for track in tracks])
        return [self._result(track, output) for track, output in zip(tracks, outputs, strict=True)]

    def _result(self, track: Progress[P], output: Output) -> Computed:
        remembered = output.remembered
        if remembered.memory is None:
            raise ValueError("a tracker's output has no memory")
        # CVAT has the prompt's shape itself.
        points = output.points if track.todo[0] else None
        shape = None if points is None else AnswerShape(type=track.steps.shape, points=points)
        answer = Answer(shape, remembered.pointer, remembered.score)
        return Computed(dump_answer(answer, track.next_name, self._tracker.fingerprint), remembered.memory)


def _require_size(track: Progress[P], size: tuple[int, int]) -> None:
    began = track.steps.size
    if size != began:
        told = track.steps.picture_told(track.todo[0])
        raise RequestRefused(
            f"{told} is {size[0]}x{size[1]} pixels, but the track began on a frame of "
            f"{began[0]}x{began[1]}; all frames of a track must have the same size."
        )
