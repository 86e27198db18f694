"""Why a connection failed, in as few words as help."""

from __future__ import annotations

import re
from http.client import HTTPException

import urllib3

_CONNECTION = re.compile(r"^<?[\w.]*HTTPS?Connection[^:]*: ")
"""How urllib3 begins many messages; an object's address would make each message another."""


def one_line(reason: object) -> str:
    """Give a reason of several lines in one."""
    return ": ".join(str(reason).splitlines())


def root_cause(error: BaseException) -> str:
    """Give the innermost cause: urllib3 wraps the sentence that helps in several that do not."""
    seen = getattr(error, "reason", None)
    while isinstance(seen, BaseException):
        error, seen = seen, getattr(seen, "reason", None)
    if isinstance(error, urllib3.exceptions.ProtocolError):
        # It wraps what http.client could not read, and quotes it: words of some other server.
        inner = error.args[-1] if error.args else error
        if isinstance(inner, HTTPException) and not isinstance(inner, ConnectionError):
            return "what answers does not speak HTTP as it should"
    told = str(error).split("(Caused by", maxsplit=1)[0].strip()
    return f"{type(error).__name__}: {_CONNECTION.sub('', told)}"
