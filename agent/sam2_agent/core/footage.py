"""Frames of CVAT's tasks, fetched and encoded once, whoever asks and however many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from sam2_agent.core.ports import Compute, Frames
from sam2_agent.core.recent import LRU, Recent
from sam2_agent.core.tracking import Features, Resized, Tracker

T = TypeVar("T")

Picture = tuple[int, int]

WAITING = 16
"""So many fetched frames are kept until the model takes them."""


class Footage:
    """Encoded frames of CVAT's tasks, each named by task and frame number."""

    def __init__(self, frames: Frames, tracker: Tracker, compute: Compute, recent: Recent) -> None:
        self._frames = frames
        self._tracker = tracker
        self._compute = compute
        self._recent = recent
        self._fetching: LRU[Picture, asyncio.Task[Resized]] = LRU(WAITING)
        self._encoding: dict[Picture, asyncio.Task[Features]] = {}

    def fetch_soon(self, task: int, frame: int) -> None:
        """Begin to fetch a frame that will be asked for; whatever goes wrong is raised there."""
        if self._recent.features.get((task, frame)) is None and (task, frame) not in self._encoding:
            self._fetch((task, frame))

    async def fetched(self, picture: Picture) -> None:
        """Return when the frame is here; raises `RequestRefused` or `Unavailable`."""
        if self._recent.features.get(picture) is None and picture not in self._encoding:
            await asyncio.shield(self._fetch(picture))

    async def encoded(self, picture: Picture) -> Features:
        """Return the encoded frame; raises `RequestRefused` or `Unavailable`."""
        features = self._recent.features.get(picture)
        if features is None:
            if (encoding := self._encoding.get(picture)) is None:
                encoding = self._encoding[picture] = _begin(self._encode(picture))
                encoding.add_done_callback(lambda _: self._encoding.pop(picture))
            features = await asyncio.shield(encoding)
        return features

    async def _encode(self, picture: Picture) -> Features:
        image = await self._fetch(picture)
        self._fetching.drop(picture)
        features = await self._compute(self._tracker.encode, image)
        self._recent.features.put(picture, features)
        return features

    def _fetch(self, picture: Picture) -> asyncio.Task[Resized]:
        fetching = self._fetching.get(picture)
        if fetching is None:
            fetching = _begin(self._frames.image(*picture, self._tracker.resize))
            self._fetching.put(picture, fetching)
            fetching.add_done_callback(lambda done: self._fetched(picture, done))
        return fetching

    def _fetched(self, picture: Picture, done: asyncio.Task[Resized]) -> None:
        """Keep no failure: who asks later tries again."""
        if done.cancelled() or done.exception():
            self._fetching.drop(picture)


def _begin(work: Coroutine[None, None, T]) -> asyncio.Task[T]:
    """Start what somebody will wait for, or nobody; a failure that nobody sees is none."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
