"""Connecting to Redis, and its refusals as sentences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004  (Redis')
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from sam2_agent.errors import InvalidSettings

_REFUSALS: dict[type[RedisError], str] = {
    OutOfMemoryError: "Redis is full; raise its maxmemory, or track fewer objects at once.",
    ReadOnlyError: "Redis takes no writes, for it is a replica; give the agent the primary's URL.",
    NoPermissionError: (
        "Redis does not let the agent's user do what it must; grant what docs/agent.md lists."
    ),
    AuthenticationError: "Redis does not accept the agent's user or password; check the Redis URL.",
}

_REFUSALS_BY_CODE = {
    "MISCONF": "Redis takes no writes, for it cannot save to its disk; see its log.",
    "BUSY": "Redis is busy with somebody's script; the agent waits for its end.",
}

_OF_PIPELINE = " of pipeline caused error: "
"""redis-py puts the command and this before what Redis said of one command of several."""

_CODE = re.compile(r"[('\"]*([A-Z]+)\b")
"""Redis' errors begin with a code."""


def refusal(error: RedisError) -> str:
    """Say in a sentence what Redis refused and what to do; never with its own words, which may quote data."""
    for kind, sentence in _REFUSALS.items():
        if isinstance(error, kind):
            return sentence
    found = _CODE.match(str(error).rpartition(_OF_PIPELINE)[2])
    code = found[1] if found else "no code"
    return _REFUSALS_BY_CODE.get(code, f"Redis refused a command ({code}); see its log.")


def connect(
    url: str, ca_file: Path | None, *, answer_seconds: float = 10.0, attempts: int = 1
) -> redis.Redis:
    """Make a client that answers or fails within `answer_seconds`; whoever uses it does the retrying.

    More `attempts` are for those who only send what may be sent twice: each but the last may find its
    connection closed.
    It sends nothing of its own but AUTH and SELECT, so that an ACL need grant nothing for the library.

    Raises:
        InvalidSettings: the URL is none that redis-py understands; neither it nor any part of it is told.
    """
    # Says nothing of the cause: that quotes the URL, and a bad password may stand anywhere in it.
    wrong = InvalidSettings(
        "The URL of Redis (SAM2_AGENT_REDIS_URL or its file) cannot be understood; write it as "
        "redis://user:password@host:6379/0, special characters of the password percent-encoded."
    )
    if "://" not in url:  # redis-py would take "redis:6379" for a local one
        raise wrong
    options: dict[str, Any] = {"ssl_ca_certs": str(ca_file)} if ca_file and url.startswith("rediss:") else {}
    try:
        client = redis.Redis.from_url(
            url,
            socket_connect_timeout=min(3.0, answer_seconds),
            socket_timeout=answer_seconds,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), attempts - 1, supported_errors=(ConnectionError,)),
            **options,
        )
        # Finds unknown options of the URL; nothing is connected yet.
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, RedisError):
        raise wrong from None
    return client
