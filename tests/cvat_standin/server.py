"""The HTTP server: uvicorn, with connections that can be cut, in the foreground or in a thread of a test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.cvat_standin.app import make_app
from tests.cvat_standin.journal import LogEntry
from tests.cvat_standin.state import StandIn

_KEEP_ALIVE_SECONDS = 75
_START_SECONDS = 10
_STOP_SECONDS = 10


class _CuttableProtocol(H11Protocol):
    """HTTP/1.1 on a connection that the application can cut, which ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the application what cuts this connection."""
        super().connection_made(transport)
        self._lost = asyncio.Event()

        async def cut() -> None:
            transport.abort()
            await self._lost.wait()

        self.app_state = {**self.app_state, "cut_connection": cut}

    def connection_lost(self, exc: Exception | None) -> None:
        """Let who cut the connection go on: from here on nobody answers on it."""
        super().connection_lost(exc)
        self._lost.set()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What HTTPS needs: PEM files of the certificate and its key."""

    certificate: Path
    key: Path


class Server(uvicorn.Server):
    """A server that lets go of blocked calls before it stops."""

    def __init__(
        self,
        standin: StandIn,
        *,
        host: str,
        port: int,
        on_ready: Callable[[int], None],
        tls: TlsFiles | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(standin),
                host=host,
                port=port,
                http=_CuttableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=2,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
            )
        )
        self._standin = standin
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell the port."""
        await super().startup(sockets)
        self._on_ready(self.servers[0].sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams and blocked calls, then stop; no connection outlives the server."""
        self._standin.close()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # of calls that took too long to end
            connection.transport.abort()
        await asyncio.sleep(0)


async def serve(
    *,
    host: str,
    port: int,
    on_ready: Callable[[int], None],
    tls: TlsFiles | None = None,
    on_call: Callable[[LogEntry], None] = lambda _entry: None,
    prepare: Callable[[StandIn], None] = lambda _standin: None,
) -> None:
    """Serve until stopped by a signal; `prepare` gets the state before the first call."""
    standin = StandIn(on_call)
    prepare(standin)
    await Server(standin, host=host, port=port, on_ready=on_ready, tls=tls).serve()


@contextmanager
def serving_in_thread(host: str = "127.0.0.1", tls: TlsFiles | None = None) -> Iterator[str]:
    """A server with a state of its own on a free port, in a thread; yields its address."""
    ready = threading.Event()
    port = 0
    server: Server | None = None

    def note_port(bound: int) -> None:
        nonlocal port
        port = bound
        ready.set()

    async def run() -> None:
        nonlocal server
        server = Server(StandIn(), host=host, port=0, on_ready=note_port, tls=tls)
        await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="CVAT stand-in", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_SECONDS):
            raise RuntimeError(f"The CVAT stand-in did not start within {_START_SECONDS} s.")
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        if server is not None:
            server.should_exit = True
        thread.join(_STOP_SECONDS)
        if thread.is_alive():
            raise RuntimeError(f"The CVAT stand-in did not stop within {_STOP_SECONDS} s.")
