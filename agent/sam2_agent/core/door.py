"""Who may come in: calls are answered one after the other, while the lease is held.

Bodies are large, so what waits is bounded in bytes and in number; who finds no room is told to come again,
and loses nothing by it.  Calls wait as they came and are read in their turn: numbers take far more room than
their digits.  A call whose caller has left is not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from pydantic import JsonValue

from sam2_agent.core import calls
from sam2_agent.core.calls import Call
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.ports import Clock, Compute, Events
from sam2_agent.core.starvation import Starvation
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import LeaseLost, RequestRefused, Unavailable

MAX_WAITING = 64
MAX_WAITING_BYTES = 2**29
AGAIN_SECONDS = 1.0


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


class TurnedAway(Exception):
    """This agent does not take the call now; the same call may be let in after so many seconds."""

    def __init__(self, sentence: str, retry_after: float = AGAIN_SECONDS) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Answers(Protocol):
    """Who knows the answers; see `serverless.Serverless`."""

    async def answer(self, call: Call, token: str, /) -> dict[str, JsonValue]:
        """Return what CVAT is told, published already; `token` is that of the lease."""


class Door:
    """Lets calls in."""

    def __init__(
        self,
        *,
        serverless: Answers,
        compute: Compute,
        keeper: LeaseKeeper,
        clock: Clock,
        status: Status,
        events: Events,
        troubles: Troubles,
    ) -> None:
        self._serverless = serverless
        self._compute = compute
        self._keeper = keeper
        self._clock = clock
        self._status = status
        self._events = events
        self._troubles = troubles
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._bytes = 0
        self._starvation = Starvation()
        self._closed = False

    @contextmanager
    def admitted(self, length: int) -> Iterator[None]:
        """Reserve room for a call whose body has so many bytes.

        Raises `RequestRefused` where no agent would take it, `TurnedAway` where this one cannot now,
        `Unavailable` where Redis does not say who may.
        """
        if length > calls.MAX_BODY:
            raise RequestRefused(
                f"A tracking call of {length:,} bytes is too long; the agent reads {calls.MAX_BODY:,}. "
                "Track fewer objects at once, or let CVAT compress its images."
            )
        self._require_open()
        try:
            self._keeper.token()
        except LeaseLost as lost:
            raise _elsewhere() from lost
        if self._waiting >= MAX_WAITING or self._bytes + length > MAX_WAITING_BYTES:
            raise TurnedAway(f"{self._waiting} calls wait for the tracker already; run again in a moment.")
        self._waiting += 1
        self._bytes += length
        try:
            yield
        finally:
            self._waiting -= 1
            self._bytes -= length

    async def answer(self, body: bytearray, gone: Callable[[], bool]) -> dict[str, JsonValue]:
        """Return the body of the answer to a call; `gone` tells whether the caller has left.

        Raises `RequestRefused`, `TurnedAway`, `Unavailable`, `CallerGone`, or what ends the agent.
        """
        began_at = self._clock.now()
        outcome = "unavailable"
        try:
            with self._starvation.noticed():
                answer = await self._answer(body, gone)
            outcome = "completed"
        except RequestRefused:
            outcome = "failed"
            raise
        except CallerGone:
            outcome = "caller left"
            raise
        except LeaseLost as lost:
            raise _elsewhere() from lost
        except Unavailable as trouble:
            self._troubles.note(trouble)
            raise
        finally:
            self._events.request("call", outcome, self._clock.now() - began_at)
        self._status.served()
        return answer

    async def _answer(self, body: bytearray, gone: Callable[[], bool]) -> dict[str, JsonValue]:
        async with self._turn:
            if gone():
                raise CallerGone
            self._require_open()
            self._status.moved()
            token = self._keeper.token()
            call = await self._compute(calls.parse, body)
            try:
                answer = await self._serverless.answer(call, token)
                self._keeper.token()  # who slept meanwhile leaves the answer to its successor
            except LeaseLost:
                self._keeper.doubt(token)
                raise
        return answer

    @property
    def busy(self) -> bool:
        """Whether a call is in hand."""
        return self._turn.locked()

    async def closed(self) -> None:
        """Let nobody in any more, turn away who waits, and return when the call in hand is answered."""
        self._closed = True
        async with self._turn:
            pass

    def _require_open(self) -> None:
        if self._closed:
            raise TurnedAway("The agent stops; its successor answers.", retry_after=5.0)


def _elsewhere() -> TurnedAway:
    return TurnedAway("Another agent serves this tracker now.")
