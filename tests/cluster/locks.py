"""One at a time: builds, exports and the cluster itself are shared by all who work on a machine."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.progress import step


@contextmanager
def held(file: Path, what: str) -> Iterator[None]:
    """Hold the lock; show what is waited for while another process holds it. It ends with this process."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step(f"wait for {what} that another process began"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
