"""CVAT as one agent's process reaches it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sam2_agent.core.requests import Assignment, Category
from sam2_agent.core.status import Status
from sam2_agent.errors import CVATUnavailable, RequestRefused, Unavailable
from tests.simulation.cvat import CVAT
from tests.simulation.network import Network, Route
from tests.simulation.processes import Process
from tests.simulation.tasks import FRAMES, picture

T = TypeVar("T")


class CVATPorts:
    """The queue and the frames as one agent's process reaches them."""

    def __init__(self, cvat: CVAT, network: Network, route: Route, process: Process, status: Status) -> None:
        self._cvat = cvat
        self._network = network
        self._route = route
        self._process = process
        self._status = status

    async def watch(self, wake: Callable[[Category | None], None]) -> None:
        """Call `wake` for each event until the stream ends."""
        loop, here = self._cvat.loop, contextvars.copy_context()

        def tell(category: Category | None) -> None:
            loop.call_soon(wake, category, context=here.copy())

        ended = await self._ask("watch", lambda: self._cvat.open_stream(tell))
        try:
            wake(None)
            await ended
        finally:
            self._cvat.close_stream(ended)

    async def acquire(self, category: Category) -> Assignment | None:
        """Take the next request."""
        found = await self._ask(f"acquire {category}", lambda: self._cvat.acquire(category))
        return None if found is None else Assignment.model_validate(found)

    async def complete(self, ar_id: str, answer: Mapping[str, JsonValue]) -> None:
        """Answer a request."""
        if not self._process.closed:
            self._cvat.witness.completes(self._process, ar_id)
        name = self._process.name
        await self._ask(f"complete {ar_id}", lambda: self._cvat.complete(name, ar_id, answer))

    async def fail(self, ar_id: str, sentence: str) -> None:
        """End a request with a sentence for the annotator."""
        if not self._process.closed:
            self._cvat.witness.fails(self._process, ar_id, sentence)
        await self._ask(f"fail {ar_id}: {sentence}", lambda: self._cvat.fail(ar_id, sentence))

    async def count(self, task: int, frame: int) -> int:
        """Return how many frames the task has."""
        return await self._ask(f"meta of task {task}", lambda: self._count(task, frame))

    def beside(self, task: int, frame: int, way: Literal[1, -1]) -> int | None:
        """Return the frame beside another, if there is one."""
        return frame + way if 0 <= frame + way < FRAMES[task] else None

    async def image(self, task: int, frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        """Return a frame."""
        return await self._ask(f"frame {frame} of task {task}", lambda: read(picture(task, frame)))

    @staticmethod
    def _count(task: int, frame: int) -> int:
        if frame >= FRAMES[task]:
            raise RequestRefused(f"Task {task} has no frame {frame}.")
        return FRAMES[task]

    async def _ask(self, what: str, operation: Callable[[], T]) -> T:
        try:
            result = await self._network.call(self._process, self._route, what, operation)
        except Unavailable:
            raise
        except Exception:
            self._status.answered("CVAT")
            raise
        self._status.answered("CVAT")
        return result


def unreachable() -> CVATUnavailable:
    """A connection that breaks, or a server that is away."""
    return CVATUnavailable("CVAT cannot be reached.", reason="CVATUnreachable")


def refusal(rng: Random) -> CVATUnavailable:
    """What CVAT, or something in front of it, answers when it cannot now."""
    match rng.randrange(4):
        case 0:
            return CVATUnavailable(
                "CVAT limits the rate.", reason="CVATUnreachable", retry_after=rng.uniform(0.5, 20)
            )
        case 1:
            return CVATUnavailable("CVAT refuses the credentials.", reason="CredentialsRefused")
        case 2:
            return CVATUnavailable("The account may not serve the function.", reason="AccessDenied")
        case _:
            return CVATUnavailable("CVAT answered 502.", reason="CVATUnreachable")
