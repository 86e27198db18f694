"""Frames of CVAT's tasks, fetched and encoded once, whoever asks."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.ports import Compute, Frames
from sam2_agent.core.recent import Recent
from sam2_agent.core.tracking import Features, Tracker


class Footage:
    """Encoded frames of CVAT's tasks."""

    def __init__(self, frames: Frames, tracker: Tracker, compute: Compute, recent: Recent) -> None:
        self._frames = frames
        self._tracker = tracker
        self._compute = compute
        self._recent = recent
        self._soon: tuple[tuple[int, int], asyncio.Task[NDArray[np.uint8]]] | None = None

    def fetch_soon(self, task: int, frame: int) -> None:
        """Begin to fetch a frame that `encoded` will be asked for; whatever goes wrong is raised there."""
        self.forget()
        if self._recent.features.get((task, frame)) is None:
            fetching = asyncio.ensure_future(self._frames.image(task, frame))
            fetching.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._soon = ((task, frame), fetching)

    def forget(self) -> None:
        """Stop fetching what nobody asked for."""
        if self._soon:
            self._soon[1].cancel()
            self._soon = None

    async def encoded(self, picture: tuple[int, int]) -> Features:
        """Return the encoded frame; raises `RequestRefused` or `Unavailable`."""
        features = self._recent.features.get(picture)
        if features is None:
            image = await self._image(picture)
            features = await self._compute(self._tracker.encode, image)
            self._recent.features.put(picture, features)
        return features

    async def _image(self, picture: tuple[int, int]) -> NDArray[np.uint8]:
        if self._soon and self._soon[0] == picture:
            (_, fetching), self._soon = self._soon, None
            return await fetching
        return await self._frames.image(*picture)
