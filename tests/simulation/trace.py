"""What happened in a run, in order: for people who replay a seed, and to compare two runs of one seed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO


@dataclass(slots=True)
class Trace:
    """Notes with the virtual time; printed at once where `to` is given."""

    now: Callable[[], float]
    to: TextIO | None = None
    notes: list[tuple[float, str, tuple[object, ...]]] = field(default_factory=list)

    def note(self, who: str, *what: object) -> None:
        """Somebody did something, or something befell somebody; put into words when somebody reads it."""
        moment = self.now()
        self.notes.append((moment, who, what))
        if self.to is not None:
            print(_line(moment, who, what), file=self.to)

    def digest(self) -> str:
        """Equal for equal runs."""
        return hashlib.sha256("\n".join(_line(*note) for note in self.notes).encode()).hexdigest()


def _line(moment: float, who: str, what: tuple[object, ...]) -> str:
    words = " ".join(map(str, what)).replace("\n", " ")
    return f"{moment:10.4f}  {who:<12} {words}"


class AgentLog(logging.Handler):
    """Shows what the agents log, under the name of the process that `who` tells."""

    def __init__(self, trace: Trace, who: Callable[[], str]) -> None:
        super().__init__()
        self._trace = trace
        self._who = who

    def emit(self, record: logging.LogRecord) -> None:
        self._trace.note(self._who(), f"  log: {record.getMessage()}")
