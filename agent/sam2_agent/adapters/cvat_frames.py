"""The frames of CVAT's tasks.

CVAT applies the orientation that a photo's EXIF data asks for before it serves a frame, and annotates in
those pixels; so it is not applied again here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_replies import MAX_BODY_BYTES, Refusal, TooLarge
from sam2_agent.adapters.images import decode
from sam2_agent.core.recent import LRU
from sam2_agent.errors import CVATUnavailable, RequestRefused

T = TypeVar("T")


class _Meta(BaseModel):
    """Of the task's data only what a request needs; the list of its frames is not kept."""

    size: int
    deleted_frames: frozenset[int] = frozenset()
    """As they were when the task was met first; only used to guess."""


class CVATFrames:
    """CVAT's tasks as `sam2_agent.core.ports.Frames`."""

    def __init__(self, client: CVATClient) -> None:
        self._client = client
        self._metas: LRU[int, _Meta] = LRU(64)

    async def count(self, task: int, frame: int) -> int:
        """Return how many frames the task has; raises `RequestRefused` unless `frame` is one of them."""
        meta = self._metas.get(task)
        if meta is None or frame >= meta.size:
            meta = await self._ask(self._fetch_meta, task, f"task {task}")
            self._metas.put(task, meta)
        if frame >= meta.size:
            raise RequestRefused(f"Task {task} has no frame {frame}; its last is {meta.size - 1}.")
        return meta.size

    def beside(self, task: int, frame: int, way: Literal[1, -1]) -> int | None:
        """Return the next frame in that direction that is not deleted, as far as is known."""
        if (meta := self._metas.get(task)) is None:
            return None
        beyond = range(frame + 1, meta.size) if way == 1 else range(frame - 1, -1, -1)
        return next((other for other in beyond if other not in meta.deleted_frames), None)

    async def image(self, task: int, frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        """Return what `read` makes of a frame, in the thread that fetched and decoded it."""
        return await self._ask(
            lambda task: read(self._fetch_image(task, frame)), task, f"frame {frame} of task {task}"
        )

    async def _ask(self, fetch: Callable[[int], T], task: int, what: str) -> T:
        try:
            return await asyncio.to_thread(fetch, task)
        except Refusal as refusal:
            raise await self._refused(refusal, task, what) from refusal
        except TooLarge as error:
            raise RequestRefused(
                f"CVAT's answer about {what} is too large; the agent reads at most {MAX_BODY_BYTES:,} bytes."
            ) from error

    async def _refused(self, refusal: Refusal, task: int, what: str) -> RequestRefused:
        username = await asyncio.to_thread(self._client.username)
        account = f'The account "{username}"' if username else "The account"
        if refusal.status == 403:
            return RequestRefused(
                f"{account} of the tracking agent has no access to task {task}; "
                "give it access, for example by adding it to the task's organization."
            )
        if refusal.status == 404:
            return RequestRefused(
                f"{account} of the tracking agent finds no {what}; it may be deleted or private."
            )
        return RequestRefused(f"CVAT does not serve {what} to the tracking agent (status {refusal.status}).")

    def _fetch_meta(self, task: int) -> _Meta:
        body = self._client.get("/api/tasks/{task}/data/meta", task=task)
        try:
            return _Meta.model_validate_json(body)
        except ValidationError as error:
            raise CVATUnavailable(
                f"CVAT describes task {task} in a form that this agent does not know; it may be too new.",
                reason="CVATUnreachable",
            ) from error

    def _fetch_image(self, task: int, frame: int) -> NDArray[np.uint8]:
        query: dict[str, str | int] = {"type": "frame", "number": frame, "quality": "original"}
        return decode(self._client.get("/api/tasks/{task}/data/", query, task=task), f"Frame {frame}")
