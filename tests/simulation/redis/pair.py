"""A real Redis and the simulated one, driven together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import redis
from redis.exceptions import RedisError

from tests.redis_server import RedisServer
from tests.simulation.redis.server import SimRedis

HOUR = 3600
"""Time passes in whole hours and keys live for a half more, so that seconds of real time change nothing."""

Outcome: TypeAlias = tuple[str, Any]


class Pair:
    """`real` and `sim` begin empty; whatever befalls one befalls the other."""

    def __init__(self, server: RedisServer) -> None:
        self.real: Any = redis.Redis.from_url(server.url, protocol=2)
        self.real.response_callbacks.clear()  # replies as they come
        self.real.flushall()
        self.real.script_flush()
        self.sim = SimRedis(lambda: self._seconds)
        self._seconds = 0.0
        self.fill(full=False)

    def close(self) -> None:
        """Close the connection."""
        self.real.close()

    def pass_hours(self, hours: int) -> None:
        """Let keys expire; the real server's keys are told that they are older."""
        self._seconds += hours * HOUR
        for key in self.real.keys("*"):
            ends = self.real.execute_command("PEXPIRETIME", key)
            if ends > 0:
                self.real.execute_command("PEXPIREAT", key, ends - hours * HOUR * 1000)

    def fill(self, *, full: bool) -> None:
        """Make both refuse what a full server refuses, or end that."""
        self.real.config_set("maxmemory", 1 if full else 0)
        self.sim.maxmemory = -1 if full else None

    def restart(self) -> None:
        """Lose the loaded scripts."""
        self.real.script_flush()
        self.sim.restart()

    def both(self, *command: bytes | str | int) -> tuple[Outcome, Outcome]:
        """Run a command on both and return the outcomes, the real one first."""
        return outcome(lambda: self.real.execute_command(*command)), outcome(
            lambda: self.sim.execute(*command)
        )

    def remaining(self) -> tuple[dict[bytes, Any], dict[bytes, Any]]:
        """Return all data and their remaining hours, the real server's first."""
        return _all(self.real.keys("*"), self.real.execute_command), _all(self.sim.keys, self.sim.execute)


def outcome(attempt: Callable[[], object]) -> Outcome:
    """Return what came of it, comparable: a reply, or an error's type and text."""
    try:
        return "reply", comparable(attempt())
    except RedisError as error:
        # A real script's error tells the line too.
        return type(error).__name__, str(error).partition(" script: ")[0]


def comparable(reply: Any) -> Any:
    """Count times to live in half hours."""
    if isinstance(reply, int) and reply > HOUR * 100:
        return -(-reply // (HOUR * 500))
    if isinstance(reply, list):
        return [comparable(each) for each in reply]
    return reply


def _all(keys: list[bytes], ask: Callable[..., Any]) -> dict[bytes, Any]:
    return {key: (_value(key, ask), comparable(ask("PTTL", key))) for key in sorted(keys)}


def _value(key: bytes, ask: Callable[..., Any]) -> Any:
    try:
        return ask("GET", key)
    except RedisError:
        pairs = iter(ask("HGETALL", key))
        return dict(zip(pairs, pairs, strict=True))
