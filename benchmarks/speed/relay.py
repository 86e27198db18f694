"""A line with a delay: what goes in at one end comes out at the other that much later, in order.

Each direction has its own queue, and reading goes on while earlier bytes are under way: so many requests may
be on the line at once, as on a real one, and bandwidth is not limited.  Connections are opened without a
delay: all who are measured keep theirs.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 2**18


class DelayLine:
    """Relays TCP connections to a port of this machine; `seconds` may be changed at any time."""

    def __init__(self, target: int, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.port = 0
        self._target = target
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, ready: threading.Event, stopping: asyncio.Event) -> None:
        """Relay until told to stop."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stopping.wait()
        server.close()
        for connection in self._connections:
            connection.cancel()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._relay(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
            finally:
                far_writer.close()
                writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one direction, to its end."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(_deliver(under_way, writer))
        try:
            loop = asyncio.get_running_loop()
            while piece := await reader.read(_PIECE):
                under_way.put_nowait((loop.time() + self.seconds, piece))
            under_way.put_nowait((loop.time() + self.seconds, b""))
            await delivering
        finally:
            delivering.cancel()


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """Write each piece when it is due, to the end or until nobody is there to read it."""
    loop = asyncio.get_running_loop()
    with suppress(OSError):
        while True:
            due, piece = await under_way.get()
            if (left := due - loop.time()) > 0:
                await asyncio.sleep(left)
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()


@contextmanager
def delay_line(target: int, seconds: float = 0.0) -> Iterator[DelayLine]:
    """Relay in a thread of its own."""
    line = DelayLine(target, seconds)
    ready = threading.Event()
    stopping: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def run() -> None:
        nonlocal stopping, loop
        stopping, loop = asyncio.Event(), asyncio.get_running_loop()
        await line.serve(ready, stopping)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="delay line", daemon=True)
    thread.start()
    try:
        if not ready.wait(10) or loop is None or stopping is None:
            raise RuntimeError("The delay line did not start.")
        yield line
    finally:
        if loop is not None and stopping is not None:
            loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
