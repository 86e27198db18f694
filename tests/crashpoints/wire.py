"""The wire between one agent and the world: every external call goes through here, and can be its last.

    agent ──► wire ──► CVAT's stand-in      one HTTP request is one call
                  └──► Redis                one command is one call, also within a pipeline or script load
    caller ─► wire ──► agent's door         one HTTP request is one call (of an agent that is called)

Bytes pass unchanged.  A trap springs just before a call is forwarded, or when its answer is here and not yet
given back.  It runs in the wire's loop, so nothing else passes before it is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.crashpoints.framing import Message, read_command, read_http, read_reply
from tests.crashpoints.ledger import Ledger
from tests.crashpoints.points import BESIDE, Call, Point, Side, is_beside

T = TypeVar("T")

LIMIT = 1 << 20
_PLACES = re.compile(r"/(\d+|function(:|%3A)\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/|$)")


class Cut(Exception):
    """The agent at this wire is dead: nothing passes any more."""


@dataclass(slots=True)
class Trap:
    """Springs once, at a point or at the agent's `ordinal`-th call on either side.

    `kills` is whether nothing passes afterwards.  Otherwise a call that was not forwarded yet is held until
    `go_on` is called, and one that was answered goes on at once.
    """

    spring: Callable[[], None]
    point: Point | None = None
    ordinal: tuple[int, Side] | None = None
    kills: bool = True
    sprung: threading.Event = field(default_factory=threading.Event)
    where: Point | None = None

    def catches(self, point: Point, ordinal: int) -> bool:
        return not self.sprung.is_set() and (
            point == self.point or (self.ordinal is not None and (ordinal, point.side) == self.ordinal)
        )


class Loop:
    """An event loop in a thread of its own, for any number of wires."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()


class Wire:
    """One agent's connections; `stage` names the request in hand, as whoever drives the session says."""

    def __init__(
        self,
        loop: Loop,
        *,
        cvat_url: str,
        redis_port: int,
        key_prefix: str,
        door_port: int | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.stage = "start"
        self.trap: Trap | None = None
        self.ledger = ledger or Ledger()
        self.calls: list[Call] = []
        self._loop = loop
        self._prefix = key_prefix
        self._counts: Counter[tuple[str, str]] = Counter()
        self._in_flight = 0
        self._cut = False
        self._held = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        cvat = urlsplit(cvat_url)
        self._servers = [
            loop.run(self._listen(self._http, cvat.hostname or "", cvat.port or 80)),
            loop.run(self._listen(self._redis, "127.0.0.1", redis_port)),
        ]
        if door_port is not None:
            self._servers.append(loop.run(self._listen(self._http, "127.0.0.1", door_port)))
        http_port, port, *door = (server.sockets[0].getsockname()[1] for server in self._servers)
        self.cvat_url = f"http://127.0.0.1:{http_port}"
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        self.door_url = f"http://127.0.0.1:{door[0]}/" if door else None

    @property
    def at_rest(self) -> bool:
        """Whether the agent has nothing to do until something new comes, and nothing is under way."""
        return not self._in_flight and self.ledger.at_rest

    def go_on(self) -> None:
        """Let a held call go on."""
        self._loop.loop.call_soon_threadsafe(self._held.set)

    def close(self) -> None:
        """Cut all connections and listen no more."""
        self._loop.run(self._close())

    async def _close(self) -> None:
        self._cut = True
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _listen(self, serve: _Serve, host: str, port: int) -> asyncio.Server:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections.add(
                task := asyncio.ensure_future(self._connect(serve, host, port, reader, writer))
            )
            task.add_done_callback(self._connections.discard)

        return await asyncio.start_server(connected, "127.0.0.1", 0, limit=LIMIT)

    async def _connect(
        self, serve: _Serve, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """One connection of the agent, with one of its own to the server."""
        writers = [writer]
        with contextlib.suppress(Cut, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                there, back = await asyncio.open_connection(host, port, limit=LIMIT)
                writers.append(back)
                while not self._cut:
                    await serve(reader, writer, there, back)
            finally:
                for each in writers:
                    each.transport.abort()

    async def _http(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        """Pass one request on, and its answer back."""
        request = await read_http(reader)
        method, target, _ = request.first_line.split(" ")
        path = target.partition("?")[0]

        async def exchange() -> Message:
            self.ledger.asked(path, request.body)
            back.write(request.raw)
            answer = await read_http(there)
            self.ledger.answered(path, request.body, answer.first_line, answer.body)
            return answer

        answer = await self._call(http_kind(method, path, request.body), exchange)
        writer.write(answer.raw)
        if answer.is_stream:
            await _pump_until_either_ends(reader, writer, there)
            raise Cut

    async def _redis(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        """Pass one command on, and its reply back."""
        words, raw = await read_command(reader)
        kind = self.redis_kind(words)

        async def exchange() -> bytes:
            back.write(raw)
            reply = await read_reply(there)
            self.ledger.did(kind, words, reply)
            return reply

        writer.write(await self._call(kind, exchange))

    async def _call(self, kind: str, exchange: Callable[[], Awaitable[T]]) -> T:
        if self._cut:
            raise Cut
        stage = BESIDE if is_beside(kind) else self.stage
        self._counts[stage, kind] += 1
        call = Call(stage, kind, self._counts[stage, kind])
        self.calls.append(call)
        ordinal = len(self.calls)
        self._in_flight += 1
        try:
            await self._meet(Point(call, "before"), ordinal)
            answer = await exchange()
            await self._meet(Point(call, "after"), ordinal)
        finally:
            self._in_flight -= 1
        return answer

    async def _meet(self, point: Point, ordinal: int) -> None:
        if (trap := self.trap) and trap.catches(point, ordinal):
            trap.spring()
            trap.where = point
            self._cut = trap.kills
            trap.sprung.set()
            if not trap.kills and point.side == "before":
                await self._held.wait()
        if self._cut:
            raise Cut

    def redis_kind(self, words: list[bytes]) -> str:
        """Name a command and what kinds of keys it is about."""
        command = words[0].decode().upper()
        if command == "SCRIPT":  # one script is another kind of call than the next
            return f"SCRIPT {words[1].decode().upper()} of {len(words[-1])} bytes"
        if command == "CLIENT":
            return f"CLIENT {words[1].decode().upper()} {words[2].decode()}"
        prefix = self._prefix.encode()
        about = [
            word.removeprefix(prefix).partition(b":")[0].decode() for word in words if word.startswith(prefix)
        ]
        return f"{command} {'+'.join(dict.fromkeys(about))}".strip()


_Serve = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]
]


def http_kind(method: str, path: str, body: bytes) -> str:
    """Name a request: its route, and the category that it asks for."""
    category = json.loads(body).get("request_category", "") if body.startswith(b"{") else ""
    return f"{method} {_PLACES.sub('/{}', path)} {category}".strip()


async def _pump_until_either_ends(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamReader
) -> None:
    async def pump() -> None:
        while data := await there.read(LIMIT):
            writer.write(data)
            await writer.drain()

    ends = {asyncio.ensure_future(pump()), asyncio.ensure_future(reader.read(1))}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
