"""How much is held in memory at once: calls wait for room in the order in which they came.

    in hand   a a a            two calls of tracker a, and one that is long
    waiting   [a: 1 MB] [b: 40 MB] [c: 1 MB]
              passed over: a has as many calls as it may        waits behind b, though it would fit

A body stays in memory until its call is answered, for the agent may be replaced in the middle, and it is sent
again; so does what has come of the answer. Who waits has sent no more than what fits into the buffers of its
connection. Nobody passes who lacks only bytes: many short calls would keep a long one out for ever.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sam2_operator.gateway.errors import BusyError

FOR_ANSWERS = 4
"""A part of the bytes that answers may take beyond all: their length is not known before they come."""


@dataclass(eq=False, slots=True)
class Hold:
    """What one call holds."""

    room: Room
    tracker: str
    length: int
    """Of its body."""
    let_in: asyncio.Event = field(default_factory=asyncio.Event)
    _answer: int = 0

    def begin_answer(self) -> None:
        """Forget what had come of an answer that was cut off."""
        self.room.held -= self._answer
        self._answer = 0

    def add(self, length: int) -> None:
        """Count a piece of the answer.

        Raises:
            BusyError: there is no room for it.
        """
        self.room.held += length
        self._answer += length
        if self.room.held > self.room.max_bytes * (1 + 1 / FOR_ANSWERS):
            raise BusyError(self.room.sentence())


@dataclass(slots=True)
class Room:
    """Used from one event loop."""

    max_bytes: int
    max_waiting: int
    max_calls_per_tracker: int
    held: int = 0
    """Bytes of the calls in hand, and of their answers."""
    _calls: Counter[str] = field(default_factory=Counter)
    _queue: list[Hold] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls are in hand."""
        return self._calls.total()

    @property
    def waiting(self) -> int:
        """How many calls wait for room."""
        return len(self._queue)

    @asynccontextmanager
    async def taken(self, tracker: str, length: int, patience: float) -> AsyncIterator[Hold]:
        """Wait for room at most so many seconds, and hold it; a call is never longer than `max_bytes`.

        Raises:
            BusyError: there is none, and too many wait, or it took too long.
        """
        hold = Hold(self, tracker, length)
        self._queue.append(hold)
        self._let_in()
        try:
            await self._wait(hold, patience)
            yield hold
        finally:
            self._leave(hold)

    async def _wait(self, hold: Hold, patience: float) -> None:
        if hold.let_in.is_set():
            return
        if self.waiting > self.max_waiting:
            raise BusyError(self.sentence())
        try:
            async with asyncio.timeout(patience):
                await hold.let_in.wait()
        except TimeoutError:
            raise BusyError(self.sentence()) from None

    def _let_in(self) -> None:
        """Let in who has room, in order."""
        for hold in tuple(self._queue):
            if self._calls[hold.tracker] >= self.max_calls_per_tracker:
                continue
            if self.held + hold.length > self.max_bytes:
                return
            self._queue.remove(hold)
            self._calls[hold.tracker] += 1
            self.held += hold.length
            hold.let_in.set()

    def _leave(self, hold: Hold) -> None:
        if hold.let_in.is_set():
            hold.begin_answer()
            self.held -= hold.length
            self._calls -= Counter({hold.tracker: 1})
        else:
            self._queue.remove(hold)
        self._let_in()

    def sentence(self) -> str:
        """Say how full it is."""
        return f"{self.calls} calls with {self.held >> 20} MiB are in hand already; run again in a moment."
