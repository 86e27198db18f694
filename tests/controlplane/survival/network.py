"""A way to the API server that can go silent: connections stay open and nothing comes through.

TLS is between the operator and the API server; what passes here is bytes. A firewall that forgot its state, a
dead node behind a load balancer, a proxy that hangs look like this: nobody is told.
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path

T = TypeVar("T")


@dataclass(eq=False)
class _Way:
    """One connection: both directions wait while it is closed; what was held back comes later."""

    open: asyncio.Event


class SilentProxy:
    """Listens on a port of its own for one server."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.port = 0
        self.accepted = 0
        """Connections ever made."""
        self._target = target
        self._silent_for_new = False
        self._ways: set[_Way] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()
        self._loop = asyncio.new_event_loop()

    @classmethod
    def before(cls, kubeconfig: Path) -> Self:
        """Stand before the server of a kubeconfig."""
        server = urlsplit(json.loads(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
        return cls((server.hostname or "", server.port or 443))

    @contextmanager
    def running(self, address: str = "127.0.0.1", port: int = 0) -> Iterator[Self]:
        """Serve in a thread while inside."""
        thread = threading.Thread(target=self._loop.run_forever, name="silent proxy", daemon=True)
        thread.start()
        server = self._call(asyncio.start_server(self._accept, address, port))
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._call(self._end(server))
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    def kubeconfig(self, original: Path, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        content = json.loads(original.read_text())
        content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self.port}"
        path = folder / "kubeconfig-by-proxy"
        path.write_text(json.dumps(content))
        return path

    def silence(self, *, new_ones_too: bool = False) -> int:
        """Let nothing through on the connections that there are; give how many."""

        async def close() -> int:
            self._silent_for_new = new_ones_too
            for way in self._ways:
                way.open.clear()
            return len(self._ways)

        return self._call(close())

    def speak(self) -> None:
        """Let all through again, first what was held back."""

        async def reopen() -> None:
            self._silent_for_new = False
            for way in self._ways:
                way.open.set()

        self._call(reopen())

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            answers, questions = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        way = _Way(asyncio.Event())
        if not self._silent_for_new:
            way.open.set()
        self._ways.add(way)
        self._transports |= {questions.transport, writer.transport}
        pumps = [self._pump(reader, questions, way), self._pump(answers, writer, way)]
        for task in map(asyncio.ensure_future, pumps):
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: _Way) -> None:
        try:
            while data := await source.read(65_536):
                await way.open.wait()
                sink.write(data)
                await sink.drain()
            await way.open.wait()
        except OSError:
            pass
        finally:
            with suppress(OSError, RuntimeError):
                sink.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        for transport in self._transports:  # closed politely, one that holds something back would stay
            transport.abort()
        await asyncio.sleep(0)
