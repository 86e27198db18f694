"""Waiting for a condition, never for a number of seconds."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], bool], seconds: float, *, every: float = 0.05) -> bool:
    """Ask until it is true or the time is over; say which."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
