"""Messages on the wire end where they end, whatever follows them."""

from __future__ import annotations

import asyncio

import pytest

from tests.crashpoints.framing import read_command, read_http, read_reply

NEXT = b"+NEXT\r\n"


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b"-NOSCRIPT No matching script.\r\n",
        b":-1\r\n",
        b"$-1\r\n",
        b"$5\r\na\r\nbc\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3\r\n:1\r\n$2\r\nab\r\n*1\r\n$-1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b"=5\r\ntxt:a\r\n",
        b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        b"~1\r\n+a\r\n",
        b">2\r\n+message\r\n+a\r\n",
        b"|1\r\n+ttl\r\n:3\r\n$1\r\nx\r\n",
    ],
)
async def test_a_reply_of_redis_is_read_to_its_end(reply: bytes) -> None:
    reader = fed(reply + NEXT)
    assert await read_reply(reader) == reply
    assert await read_reply(reader) == NEXT


async def test_the_words_of_a_command_may_hold_anything() -> None:
    raw = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n*1\r\n"
    reader = fed(raw + raw)
    for _ in range(2):
        assert await read_command(reader) == ([b"SET", b"k", b"\r\n*1"], raw)


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"POST / HTTP/1.1\r\nCONTENT-LENGTH: 4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\n\r\n\r\n0\r\n\r\n",
            b"abc\r\n",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
async def test_a_message_of_http_is_read_to_its_end(raw: bytes, body: bytes) -> None:
    reader = fed(raw + raw)
    for _ in range(2):
        message = await read_http(reader)
        assert (message.raw, message.body, message.is_stream) == (raw, body, False)


async def test_of_an_event_stream_only_the_head_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    reader = fed(head + b"3\r\nabc\r\n")
    message = await read_http(reader)
    assert message.is_stream
    assert message.raw == head
    assert await reader.read() == b"3\r\nabc\r\n"


def fed(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader
