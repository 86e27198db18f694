"""Event streams of the queues: who watches which, and what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Literal

from tests.cvat_standin.clock import Clock
from tests.cvat_standin.queue import Category

Ending = Literal["end", "abort"]


class Watchers:
    """The open event streams. Use in the server's event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._streams: dict[int, set[asyncio.Queue[Category | Ending]]] = {}
        self.retry_milliseconds = 5000
        self.keep_alive_seconds = 15.0
        self.announce = True

    def count(self, function_id: int) -> int:
        """How many streams of the function's queue are open."""
        return len(self._streams.get(function_id, ()))

    def notify(self, function_id: int, category: Category) -> None:
        """Tell all that watch the queue of a new request, unless told to keep it to itself."""
        if self.announce:
            self._put(function_id, category)

    def cut(self, function_id: int, *, abrupt: bool = False) -> None:
        """End the queue's streams: in order, or by cutting the connections."""
        self._put(function_id, "abort" if abrupt else "end")

    def cut_all(self) -> None:
        """End all streams in order."""
        for function_id in list(self._streams):
            self.cut(function_id)

    async def stream(
        self, function_id: int, cut_connection: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[bytes]:
        """The bytes of a new stream on a connection that can be cut."""
        inbox: asyncio.Queue[Category | Ending] = asyncio.Queue()
        self._streams.setdefault(function_id, set()).add(inbox)
        try:
            yield f"retry: {self.retry_milliseconds}\n".encode()
            while (message := await self._next(inbox)) != "end":
                if message == "abort":
                    await cut_connection()
                    return
                if message is None:
                    yield b": keep-alive\n"
                else:
                    yield f'event: newrequest\ndata: {{"request_category": "{message}"}}\n\n'.encode()
        finally:
            self._streams[function_id].discard(inbox)

    async def _next(self, inbox: asyncio.Queue[Category | Ending]) -> Category | Ending | None:
        """The next message; None when it is time for a sign of life."""
        message = asyncio.ensure_future(inbox.get())
        pause = asyncio.ensure_future(self._clock.sleep_until(self._clock.now() + self.keep_alive_seconds))
        try:
            await asyncio.wait({message, pause}, return_when=asyncio.FIRST_COMPLETED)
            return message.result() if message.done() else None
        finally:
            for task in (message, pause):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _put(self, function_id: int, message: Category | Ending) -> None:
        for inbox in self._streams.get(function_id, ()):
            inbox.put_nowait(message)
