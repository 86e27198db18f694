"""CVAT's queue and frames without CVAT: one annotator asks, and waits for each answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sam2_agent.core.requests import Assignment, Category
from tests.sized_tracker import HEIGHT, WIDTH

T = TypeVar("T")


class Line:
    """The ports `Queue` and `Frames`."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._asked: list[Assignment] = []
        self._answers: dict[str, asyncio.Future[Mapping[str, JsonValue]]] = {}
        self._wake: Callable[[Category | None], None] = lambda _: None
        self._image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)

    async def ask(self, **parameters: JsonValue) -> Mapping[str, JsonValue]:
        ar_id = f"request-{len(self._answers)}"
        self._answers[ar_id] = asyncio.get_running_loop().create_future()
        self._asked.append(Assignment(ar_id=ar_id, ar_params={"task": 1, **parameters}))
        self._wake("interactive")
        return await self._answers[ar_id]

    async def watch(self, wake: Callable[[Category | None], None]) -> None:
        self._wake = wake
        await asyncio.Event().wait()

    async def acquire(self, category: Category) -> Assignment | None:
        return self._asked.pop() if category == "interactive" and self._asked else None

    async def complete(self, ar_id: str, answer: Mapping[str, JsonValue]) -> None:
        self._answers[ar_id].set_result(answer)

    async def fail(self, ar_id: str, sentence: str) -> None:
        self._answers[ar_id].set_exception(RuntimeError(sentence))

    def beside(self, _task: int, frame: int, way: Literal[1, -1]) -> int | None:
        return frame + way if 0 <= frame + way < self._frames else None

    async def count(self, _task: int, _frame: int) -> int:
        return self._frames

    async def image(self, _task: int, _frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        return read(self._image)
