"""Where one message ends on the wire: HTTP/1.1 and Redis' protocol, as bytes to be passed on unchanged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

END = b"\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request or the answer to one; `raw` are the bytes of its head and body as they came."""

    first_line: str
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def is_stream(self) -> bool:
        """Whether the body, which was not read, goes on for as long as the server likes."""
        return self.headers.get("content-type", "").startswith("text/event-stream")


async def read_http(reader: asyncio.StreamReader) -> Message:
    """Read one message; of an event stream only the head. Raises `asyncio.IncompleteReadError` at the end."""
    head = await reader.readuntil(END + END)
    first_line, *lines = head.decode("latin-1").rstrip().split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    message = Message(first_line, headers, b"", head)
    if message.is_stream:
        return message
    body = raw = b""
    if "chunked" in headers.get("transfer-encoding", ""):
        body, raw = await _read_chunks(reader)
    elif length := int(headers.get("content-length", "0")):
        body = raw = await reader.readexactly(length)
    return Message(first_line, headers, body, head + raw)


async def _read_chunks(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    body: list[bytes] = []
    raw: list[bytes] = []
    while True:
        size_line = await reader.readuntil(END)
        size = int(size_line.split(b";")[0], 16)
        chunk = await reader.readexactly(size + 2)  # chunks end in a line break; the last one is only that
        raw += [size_line, chunk]
        if size == 0:
            return b"".join(body), b"".join(raw)
        body.append(chunk[:-2])


async def read_command(reader: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
    """Read one command of a Redis client: its words, and the bytes as they came."""
    head = await reader.readuntil(END)
    words, raw = [], [head]
    for _ in range(int(head[1:])):
        length = await reader.readuntil(END)
        word = await reader.readexactly(int(length[1:]) + 2)
        words.append(word[:-2])
        raw += [length, word]
    return words, b"".join(raw)


async def read_reply(reader: asyncio.StreamReader) -> bytes:
    """Read one reply of Redis, version 2 or 3 of its protocol."""
    head = await reader.readuntil(END)
    kind, rest = head[:1], head[1:-2]
    if kind in b"$=!" and rest != b"-1":
        return head + await reader.readexactly(int(rest) + 2)
    if kind in b"*~>%|" and rest != b"-1":
        parts = int(rest) * (2 if kind in b"%|" else 1)
        values = [await read_reply(reader) for _ in range(parts)]
        if kind == b"|":  # attributes stand before the reply that they are about
            values.append(await read_reply(reader))
        return head + b"".join(values)
    return head
