"""Waiting for conditions, never for seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_for(probe: Callable[[], _T | None], what: str, *, within: float = 15.0, every: float = 0.01) -> _T:
    """Call `probe` until it returns something true, and return that.

    Raises `AssertionError` naming `what` was waited for after `within` seconds.
    """
    deadline = time.monotonic() + within
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {within:g} s in vain for {what}")
        time.sleep(every)
    return found
