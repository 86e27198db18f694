"""HTTP servers behind the gateway: agents' doors and Nuclio's dashboard, scripted by tests."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sam2_operator.core.gateway import TOKEN_HEADER

Answer = Callable[["Seen"], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """A request that a server was sent."""

    method: str
    path: str
    headers: dict[str, str]
    length: int
    digest: str
    connection: str

    @property
    def token(self) -> str:
        return self.headers.get(TOKEN_HEADER, "")


class Cut(Exception):
    """The connection is to end in the middle of the answer."""


async def track(seen: Seen) -> web.StreamResponse:
    """What an agent answers."""
    return web.json_response({"shapes": [None], "states": [seen.digest]})


class Server(AbstractContextManager["Server"]):
    """Answers by `answer`, which tests replace; can be down, and come back on the same port."""

    def __init__(self, port: int = 0, *, reads: bool = True) -> None:
        self.port = port
        self.answer: Answer = track
        self.seen: list[Seen] = []
        self.reads = reads
        """Whether bodies are read before anything is said."""
        self.arrived = 0
        """Bytes of bodies."""
        self.left = 0
        """Callers that left before they were answered."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._runner: web.AppRunner | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._do(self._start())

    def stop(self) -> None:
        """Be gone, as after a kill: connections are cut."""
        self._do(self._stop())

    async def _start(self) -> None:
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{anything:.*}", self._answered)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=0.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._runner is not None:
            for connection in list(self._runner.server.connections if self._runner.server else ()):
                connection.force_close()
                if connection.transport is not None:
                    connection.transport.abort()
            await self._runner.cleanup()
            self._runner = None

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        digest, length = hashlib.sha256(), 0
        while self.reads and (chunk := await request.content.readany()):
            self.arrived += len(chunk)
            digest.update(chunk)
            length += len(chunk)
        peer: Any = request.transport.get_extra_info("peername") if request.transport else ""
        seen = Seen(
            request.method,
            request.raw_path,
            dict(request.headers),
            length,
            digest.hexdigest(),
            str(peer),
        )
        self.seen.append(seen)
        try:
            return await self.answer(seen)
        except Cut:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"shapes": ')
            if request.transport is not None:
                request.transport.close()
            return response
        except asyncio.CancelledError:
            self.left += 1
            raise

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
