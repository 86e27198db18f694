"""Lua scripts as Redis 7 runs them: in Lua 5.1, each compiled once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from lupa import lua51  # type: ignore[import-untyped]

from tests.simulation.redis.replies import ErrorReply, Reply

_LUA = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
_ERROR_REPLY = _LUA.eval(b"function(text) return {err = (string.gsub(text, '^-', ''))} end")
_STATUS_REPLY = _LUA.eval(b"function(text) return {ok = text} end")

Call = Callable[[bytes, Sequence[bytes]], Reply]
"""Runs a command for a script: its name in capitals, and its arguments."""


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """A compiled script; `flags` is None where it has no first line that declares them."""

    sha: bytes
    flags: frozenset[str] | None
    run: Any


@cache
def compiled(text: bytes) -> Script:
    """Compile a script; raises `ErrorReply`."""
    sha = hashlib.sha1(text).hexdigest().encode()  # noqa: S324 (Redis names scripts so)
    flags: frozenset[str] | None = None
    body = text
    if text.startswith(b"#!"):
        first, separator, rest = text.partition(b"\n")
        engine, *options = first.decode().split()
        if engine != "#!lua":
            raise ErrorReply(f"ERR Unexpected engine in script shebang: {engine[2:]}")
        flags = frozenset(
            flag for option in options for flag in option.removeprefix("flags=").split(",") if flag
        )
        body = separator + rest
    try:
        run = _LUA.compile(b"local redis, KEYS, ARGV = ...;" + body)
    except lua51.LuaSyntaxError as error:
        raise ErrorReply(f"ERR Error compiling script: {error}") from error
    return Script(sha, flags, run)


class Commands:
    """What a script knows as `redis`; commands go to `call`."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._table = _LUA.table_from(
            {
                b"call": self._called,
                b"pcall": self._caught,
                b"error_reply": _ERROR_REPLY,
                b"status_reply": _STATUS_REPLY,
            }
        )

    def run(self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Reply:
        """Run a script and return its reply; raises `ErrorReply`."""
        try:
            result = script.run(self._table, _LUA.table_from(keys), _LUA.table_from(arguments))
        except lua51.LuaError as error:
            raise ErrorReply(f"ERR {error}") from error
        return _from_lua(result)

    def _called(self, name: bytes, *arguments: bytes | float) -> Any:
        return _to_lua(name, self._call(name.upper(), [_argument(each) for each in arguments]))

    def _caught(self, name: bytes, *arguments: bytes | float) -> Any:
        try:
            return self._called(name, *arguments)
        except ErrorReply as error:
            return _ERROR_REPLY(str(error).encode())


def _argument(value: bytes | float) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ErrorReply("ERR Lua redis lib command arguments must be strings or integers")
    return b"%.17g" % value


def _to_lua(name: bytes, reply: Reply) -> Any:
    if reply is None:
        return False
    if isinstance(reply, list):
        return _LUA.table_from([_to_lua(b"", each) for each in reply])
    if reply == b"OK" and name.upper() == b"SET":
        return _STATUS_REPLY(reply)
    return reply


def _from_lua(value: Any) -> Reply:
    """Convert as Redis does: a table ends at its first nil, a number loses its fraction."""
    if lua51.lua_type(value) == "table":
        return _from_table(value)
    if isinstance(value, bytes):
        return value
    if value is None or value is False or not isinstance(value, int | float):
        return None
    return int(value)


def _from_table(value: Any) -> Reply:
    if (error := value[b"err"]) is not None:
        raise ErrorReply(error.decode())
    if (status := value[b"ok"]) is not None:
        return bytes(status)
    replies: list[Reply] = []
    while (element := value[len(replies) + 1]) is not None:
        replies.append(_from_lua(element))
    return replies
