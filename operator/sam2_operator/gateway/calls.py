"""Forwards a call to a tracker's agent, and again while the agent is being replaced.

    CVAT      POST ................................................................. answer
    gateway        agent: refused, reset, 503, 503 ... 503 (waits for the lease) ... 200
    agent     killed .... another starts ......... its predecessor's lease expires . serves

A step is a pure function with remembered answers: the same call again gives the same answer and moves
nothing. So everything that may pass is tried again, for as long as the caller waits; what the agent refuses
for good is told at once. The caller's patience is known by a header, and the answer comes before it ends.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp

from sam2_operator.core.gateway import TOKEN_HEADER, door_token
from sam2_operator.gateway.body import Body, CallerLeftError
from sam2_operator.gateway.errors import AgentAwayError, TooSlowError, UnknownFunctionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.core.nuclio import Shown
    from sam2_operator.gateway.room import Hold

_MARGIN_SECONDS = 2.0
"""By which the caller is answered before it gives up."""
_SHARE = 0.1
"""Of the caller's patience, at most, for that."""
_FIRST_WAIT, _MOST_WAIT = 0.05, 1.0
_LEAST_SECONDS = 0.1
"""With less left nothing is sent again: timers that end a little early would make an agent that refused every
call one that is slow."""
_CONNECT_SECONDS = 3.0
_UNREACHABLE = "It cannot be reached."
_NOT_ADMITTED = "It does not accept the gateway's key."
_PASSING = frozenset({401, 502, 503})
"""What an agent answers while it, or the key of its door, is being replaced."""
MAX_ANSWER = 2**26


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent said."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Agents:
    """The agents, by connections that are kept."""

    session: aiohttp.ClientSession
    address: str
    """Made of `Shown.door`."""
    key: Callable[[], str]
    retried: Callable[[], None]
    """Counts what is sent again."""
    random: random.Random = field(default_factory=random.Random)

    async def answer(
        self, find: Callable[[], Shown | None], body: Body, hold: Hold, patience: float
    ) -> Answer:
        """Give the agent's answer, whatever it is, in so many seconds.

        The tracker is looked up for each attempt: it may be stopped or deleted meanwhile, or another one of
        its name be made, which has another token.

        Raises:
            AgentAwayError: there was no agent all the time.
            UnknownFunctionError: there is no such tracker, or not any more.
            BusyError: there is no room for the answer.
            TooSlowError: the agent had the call when the time was over.
            CallerLeftError: nobody waits for it any more.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience - min(_MARGIN_SECONDS, patience * _SHARE)
        wait, said, least = _FIRST_WAIT, _UNREACHABLE, 0.0
        while True:
            tracker = find()
            if tracker is None:
                raise UnknownFunctionError("There is no such tracker; reload the page.")
            left = until - loop.time()
            if left <= least:
                raise AgentAwayError(
                    f"The tracker {tracker.title} has no agent at the moment; run again in a minute. {said}"
                )
            try:
                answer = await self._asked(tracker, body, hold, left)
            except aiohttp.ConnectionTimeoutError:
                said = _UNREACHABLE
            except TimeoutError:
                raise TooSlowError(
                    f"The tracker {tracker.title} did not answer within {patience:.0f} seconds; run again."
                ) from None
            except (aiohttp.ClientError, ConnectionError) as error:
                _look_for_caller(error)
                said = _UNREACHABLE
            else:
                if answer.status not in _PASSING:
                    return answer
                said = _words(answer)
            least = _LEAST_SECONDS
            self.retried()
            pause = min(wait * self.random.uniform(0.5, 1.0), max(0.0, until - loop.time()))
            await asyncio.sleep(pause)
            wait = min(2 * wait, _MOST_WAIT)

    async def _asked(self, tracker: Shown, body: Body, hold: Hold, seconds: float) -> Answer:
        hold.begin_answer()
        headers = {
            TOKEN_HEADER: door_token(self.key(), tracker.uid),
            "Content-Type": "application/json",
            "Content-Length": str(body.length),
        }
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        url = f"{self.address.format(**tracker.door)}/"
        async with self.session.post(
            url, data=body.sent(), headers=headers, timeout=limits, allow_redirects=False
        ) as answer:
            content = await read_whole(answer, MAX_ANSWER, hold.add)
            return Answer(answer.status, answer.content_type, content)


async def read_whole(
    answer: aiohttp.ClientResponse, limit: int, count: Callable[[int], None] = lambda _: None
) -> bytes:
    """Read a body; `count` is told the length of each piece.

    Raises:
        ClientPayloadError: it ended too early, or is too long.
    """
    chunks: list[bytes] = []
    left = limit
    while chunk := await answer.content.readany():
        count(len(chunk))
        chunks.append(chunk)
        left -= len(chunk)
        if left < 0:
            raise aiohttp.ClientPayloadError(f"An answer of more than {limit:,} bytes.")
    return b"".join(chunks)


def _look_for_caller(error: BaseException | None) -> None:
    """Raise what the client library wraps: the caller's end is no fault of the agent's."""
    while error is not None:
        if isinstance(error, CallerLeftError):
            raise error
        error = error.__cause__ or error.__context__


def _words(answer: Answer) -> str:
    """Give what an agent says of why it cannot answer now."""
    if answer.status == 401:
        return _NOT_ADMITTED
    return answer.body[:300].decode(errors="replace").strip() if answer.status == 503 else _UNREACHABLE
