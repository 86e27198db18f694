"""Steps and elapsed time, shown to whoever waits."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print one line at once, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str, *, every: float = 20.0) -> Iterator[None]:
    """Show that ``what`` began, that it still goes on (each ``every`` seconds), and how long it took."""
    began = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every):
            say(f"   ... {what}: {time.monotonic() - began:.0f} s")

    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    say(f"-> {what}")
    try:
        yield
    except BaseException:
        say(f"!! {what}: failed after {time.monotonic() - began:.1f} s")
        raise
    finally:
        ended.set()
        beating.join()
    say(f"ok {what}: {time.monotonic() - began:.1f} s")
