"""Simulated processes: what can be killed, paused and continued."""

from __future__ import annotations

import contextvars
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class Process:
    """A process of its own; its callbacks find it in `PROCESS`."""

    name: str
    frozen: bool = False
    """Its callbacks are held back: it was paused or killed."""
    killed: bool = False
    closed: bool = False
    """The simulation is over: nothing that it does counts."""
    held: deque[Any] = field(default_factory=deque)

    def pause(self) -> None:
        """Stop it where it stands, as SIGSTOP does; `VirtualLoop.thaw` continues it."""
        self.frozen = True

    def kill(self) -> None:
        """End it where it stands, as SIGKILL does: nothing of it runs again."""
        self.frozen = self.killed = True


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
"""The process that a callback belongs to; None is the world around them."""
