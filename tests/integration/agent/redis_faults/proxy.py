"""A network between the agent and Redis that can be slow, cut replies in two, or lead to another server."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Self

_RESET = struct.pack("ii", 1, 0)


class RedisProxy:
    """Listens on a port of its own; what a test sets holds for what comes after.

    A new `target` is for new connections; open ones stay with the old one, as behind a Service or a name.
    """

    def __init__(self, target: int, *, seed: int = 0) -> None:
        self.target = target
        self.latency = 0.0
        """Seconds by which each reply is late."""
        self.cut_share = 0.0
        """So large a share of replies, drawn at random, is cut in the middle and its connection reset."""
        self.cuts = 0
        self.port = 0
        self._rng = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve in a thread while the context lasts."""
        thread = threading.Thread(target=self._loop.run_forever, name="redis proxy", daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1"), self._loop
        ).result(10)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_redis, to_redis = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        for pump in (self._ask(reader, to_redis), self._reply(from_redis, writer)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self.latency:
                    await asyncio.sleep(self.latency)
                if self._rng.random() < self.cut_share:
                    self.cuts += 1
                    writer.write(data[: len(data) // 2])
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.transport.abort()
