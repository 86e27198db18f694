"""Replies and errors as the server gives them, before the client makes something of them."""

from __future__ import annotations

from typing import TypeAlias

OK = b"OK"

Reply: TypeAlias = "bytes | int | list[Reply] | None"

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'."
NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL."
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
SYNTAX = "ERR syntax error"


class ErrorReply(Exception):
    """An error reply; the text begins with its code."""


def wrong_arguments(command: str) -> ErrorReply:
    """The error for a command with too few or too many arguments."""
    return ErrorReply(f"ERR wrong number of arguments for '{command.lower()}' command")
