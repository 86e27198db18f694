"""The process of an agent's model, forked and not started: all is imported already (see `nursery`)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

from sam2_agent import model
from sam2_agent.adapters.model_channel import Channel, Descriptors


class ForkedModel:
    """The process of an agent's model, forked from the agent before that has threads."""

    def __init__(self, model: Descriptors, apart: Descriptors) -> None:
        self._status: int | None = None
        self._lock = threading.Lock()
        if (pid := os.fork()) == 0:
            _become_model(model, apart)
        self.pid = pid

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises `subprocess.TimeoutExpired`."""
        with self._lock:
            if self._status is None:
                descriptor = os.pidfd_open(self.pid)
                try:
                    if not select.select([descriptor], [], [], timeout)[0]:
                        raise subprocess.TimeoutExpired("sam2_agent.model", timeout or 0.0)
                finally:
                    os.close(descriptor)
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._status

    def kill(self) -> None:
        """Kill the process unless it has ended."""
        with self._lock:
            if self._status is None:
                os.kill(self.pid, signal.SIGKILL)


def _become_model(line: Descriptors, apart: Descriptors) -> None:
    """Run as `python -m sam2_agent.model` would; never returns."""
    try:
        os.setsid()
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2 and descriptor not in (*line, *apart):
                with contextlib.suppress(OSError):  # that of the list itself
                    os.close(descriptor)
        model.main(Channel.given(line), Channel.given(apart))
    except BaseException:  # noqa: BLE001  (the agent's own program must never go on in it)
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(1)
