"""Every call of an operator, and what may befall it on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.operator_simulation.faults import CALM, Fate, Faults, Server
from tests.operator_simulation.strands import Killed, StrandLoop
from tests.simulation.processes import Process
from tests.simulation.trace import Trace

T = TypeVar("T")

TIMEOUT = 20.0
"""Seconds that callers wait for an answer; below the half of the settle time, as the operator's own."""


class BrokenError(Exception):
    """The connection broke, or nothing came in time."""


class RefusedError(Exception):
    """The server, or what stands before it, answers with an error of its own."""


@dataclass
class Network:
    """Carries calls from strands to servers."""

    loop: StrandLoop
    rng: Random
    trace: Trace
    faults: Faults = CALM
    away: set[Server] = field(default_factory=set)
    kill: Callable[[Process], None] = lambda _: None
    pause: Callable[[Process], None] = lambda _: None

    def call(self, server: Server, what: str, effect: Callable[[], T]) -> T:
        """Bring a call to its server and the answer back.

        Raises:
            BrokenError: no answer; it may or may not have been done.
            RefusedError: an error in place of the answer.
            Killed: the caller's process was killed meanwhile.
        """
        fate = Fate.REQUEST_LOST if server in self.away else self.faults.fate(self.rng, server)
        if fate is not Fate.FINE:
            self.trace.note(self._who(), f"{what}: {fate.name}")
        self._befall(fate, Fate.KILLED_BEFORE, Fate.PAUSED_BEFORE)
        self.loop.pass_time(self._latency())
        if fate in (Fate.REQUEST_LOST, Fate.REFUSED, Fate.REQUEST_HANGS, Fate.REQUEST_LATE):
            self._fail(fate, what, effect)
        result = effect()
        if fate is Fate.REPEATED:
            result = self.rng.choice((result, effect()))
        self._befall(fate, Fate.KILLED_AFTER, Fate.PAUSED_AFTER)
        if fate is Fate.REPLY_HANGS:
            self.loop.pass_time(TIMEOUT)
        self.loop.pass_time(self._latency())
        if fate in (Fate.REPLY_LOST, Fate.REPLY_HANGS):
            raise BrokenError(what)
        if fate is Fate.DONE_BUT_REFUSED:
            raise RefusedError(what)
        return result

    def _fail(self, fate: Fate, what: str, effect: Callable[[], object]) -> None:
        if fate is Fate.REFUSED:
            raise RefusedError(what)
        if fate is Fate.REQUEST_LATE:
            late = TIMEOUT + self.rng.uniform(0, 5)
            self.loop.outside(late, lambda: _done_for_nobody(effect))
        if fate is not Fate.REQUEST_LOST:
            self.loop.pass_time(TIMEOUT)
        raise BrokenError(what)

    def _befall(self, fate: Fate, kill: Fate, pause: Fate) -> None:
        strand = self.loop.strand
        process = strand.process if strand is not None else None
        if process is None:
            return
        if fate is kill:
            self.kill(process)
            raise Killed
        if fate is pause and self.faults is not CALM:  # one drawn before may fall later: a pause lasts long
            self.pause(process)
            self.loop.pass_time(0.0)

    def _latency(self) -> float:
        """Usually short; now and then so long that much happens meanwhile."""
        return self.rng.uniform(0.001, 0.01) if self.rng.random() < 0.9 else self.rng.uniform(0.05, 2.0)

    def _who(self) -> str:
        strand = self.loop.strand
        return strand.process.name if strand is not None and strand.process is not None else "world"


def _done_for_nobody(effect: Callable[[], object]) -> None:
    try:
        effect()
    except Exception:  # noqa: BLE001 - nobody is there to be told
        return
