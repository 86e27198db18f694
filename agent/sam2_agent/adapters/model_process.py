"""The process in which the model runs, as the agent sees it.

Much of what a small model takes is Python, not arithmetic.  In a process of its own it has an
interpreter of its own, which neither the event loop nor the threads that talk to CVAT take from it.

It ends when the agent does, however that ends, for it hears its lines being closed; and it leaves nothing
behind, for all that it keeps can be had again.  The other way round, an agent whose model has gone gives up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from sam2_agent.adapters.model_calls import Line, Ready
from sam2_agent.adapters.model_channel import Descriptors, channel
from sam2_agent.adapters.model_tracker import ModelTracker
from sam2_agent.errors import ModelEnded

_END_SECONDS = 10.0
"""How long a process that closed its lines may take to end."""


class Process(Protocol):
    """What is asked of a process."""

    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, negative for a signal; raises `subprocess.TimeoutExpired`."""

    def kill(self) -> None:
        """Kill the process unless it has ended."""


Launch: TypeAlias = Callable[[Descriptors, Descriptors], Process]
"""Starts `sam2_agent.model` with its ends of the lines."""


def launch(model: Descriptors, apart: Descriptors) -> Process:
    """Start the process, in a session of its own: a terminal's signals are for the agent."""
    descriptors = (*model, *apart)
    command = [sys.executable, "-m", "sam2_agent.model", *map(str, descriptors)]
    return subprocess.Popen(  # noqa: S603  (nothing in it is anybody's input)
        command, pass_fds=descriptors, start_new_session=True, stdin=subprocess.DEVNULL
    )


class ModelProcess:
    """Has begun to load the model that the environment's settings name."""

    def __init__(self) -> None:
        ours, model = channel()
        ours_apart, apart = channel()
        with model, apart:
            self._process = launch(model.descriptors, apart.descriptors)
        self._model = Line(ours, self._ended)
        self._apart = Line(ours_apart, self._ended)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def load(self) -> ModelTracker:
        """Return the model when it is loaded; raises the `GaveUp` that says why it cannot be."""
        ready: Ready = self._model.heard()
        return ModelTracker(ready, self._model, self._apart)

    async def watch(self) -> None:
        """Raise `ModelEnded` when the process ends."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        descriptor = os.pidfd_open(self._process.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        raise self._ended()

    def close(self) -> None:
        """End the process; one that hangs in a driver is left to whoever ends the agent."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def _ended(self) -> ModelEnded:
        """Say how it ended."""
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return ModelEnded("The model's process hung up; the agent has to be started again.")
        if status == -signal.SIGKILL:
            return ModelEnded(
                "The model's process was killed, as happens where a container has no memory left; "
                "give the agent more memory (spec.agent.resources.limits.memory)."
            )
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return ModelEnded(f"The model's process ended {how}; the agent has to be started again.")
