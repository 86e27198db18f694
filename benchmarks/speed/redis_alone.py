"""What a publish takes with no agent around it.

It is asked for once in a while, as an agent does, once a frame: between calls the processor sleeps and does
other things, and a call takes two to four times what it takes when one follows upon the other.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from statistics import median

import redis

from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_scripts import PUBLISH
from sam2_agent.adapters.redis_store import NONCE_CHARACTERS, RedisStore
from sam2_agent.core.ports import Key, Publication, Taken

_PAUSE = 0.05
"""Seconds from one call to the next: about a frame."""
_CALLS = 40
_LIFE = 600
_ANSWER = bytes(1000)
"""About as long as the small model's answers."""


def round_trip(client: redis.Redis) -> float:
    """Milliseconds of a PING to Redis and back, median of many: no call of a store takes less."""
    return _median(client.ping)


def publication(url: str, objects: int) -> float:
    """Milliseconds to publish so many answers by a store that has its process to itself, median of many.

    This is Redis, and redis-py.
    """
    return asyncio.run(_publication(url, objects))


def bare_publication(client: redis.Redis, objects: int) -> float:
    """Milliseconds for the same script, its bytes written to a socket: this is Redis, and the machine."""
    client.set("{bare}:lease", "token", ex=_LIFE)
    sha = client.script_load(PUBLISH)
    where = client.get_connection_kwargs()
    with socket.create_connection((where["host"], where["port"])) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turns = iter(range(_CALLS))

        def publish() -> None:
            turn = next(turns)
            keys = ["{bare}:lease", *(f"{{bare}}:answer:{turn}-{place}" for place in range(objects))]
            line.sendall(
                _command("EVALSHA", sha, len(keys), *keys, "token", _LIFE * 1000, *[_ANSWER, b""] * objects)
            )
            if not line.recv(2**16).startswith(b"*"):
                raise RuntimeError("Redis refused to publish")

        return _median(publish)


def _command(*words: str | int | bytes) -> bytes:
    """Write a command in Redis' protocol (RESP)."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def _median(call: Callable[[], object]) -> float:
    took = []
    for _ in range(_CALLS):
        time.sleep(_PAUSE)
        began = time.perf_counter()
        call()
        took.append(1000 * (time.perf_counter() - began))
    return median(took)


async def _publication(url: str, objects: int) -> float:
    store = RedisStore(
        connect(url, None),
        prefix="s2t:{alone}:",
        holder="alone",
        state_seconds=_LIFE,
        memory_seconds=_LIFE,
        on_answer=lambda: None,
    )
    taken = await store.take("0" * NONCE_CHARACTERS, _LIFE)
    if not isinstance(taken, Taken):
        raise TypeError("somebody else uses these keys")
    took = []
    for turn in range(_CALLS):
        answers = [Publication(Key("answer", f"{turn}-{place}"), _ANSWER, b"") for place in range(objects)]
        await asyncio.sleep(_PAUSE)
        began = time.perf_counter()
        await store.publish(taken.token, answers)
        took.append(1000 * (time.perf_counter() - began))
    await store.close()
    return median(took)
