"""Why a connection failed, in as few words as help."""

from __future__ import annotations

import re

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
    told = str(error).split("(Caused by", maxsplit=1)[0].strip()
    return f"{type(error).__name__}: {_CONNECTION.sub('', told)}"
