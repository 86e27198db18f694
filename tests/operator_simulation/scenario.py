"""One run: a world, its faults, and how it ends. A seed decides everything."""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, TextIO

from tests.controlplane.situations import Outcomes
from tests.operator_simulation.disasters import Disasters
from tests.operator_simulation.faults import draw
from tests.operator_simulation.operators import DEADLINE
from tests.operator_simulation.people import People
from tests.operator_simulation.verdict import Verdict
from tests.operator_simulation.witness import Flaw
from tests.operator_simulation.world import World
from tests.simulation.loop import Spins
from tests.simulation.trace import AgentLog, Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

END = 20_000.0
"""No run needs so many virtual seconds."""
CONVERGES = 400.0
"""So long after the last fault everything is as people want it: CVAT may ask to wait five minutes."""
ENDS = DEADLINE + 100.0
"""So long after its deletion a tracker is gone in any case."""
QUIET = 3600.0
LOOK_EVERY = 10.0
SETTLES = 130.0
"""After so long without a change a tracker was looked at once more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed: `complaints` is empty where all was well."""

    seed: int
    complaints: tuple[str, ...]
    outcomes: Outcomes
    trace: Trace


class Run:
    """A world made from a seed."""

    def __init__(self, seed: int, trace_to: TextIO | None = None) -> None:
        self._seed = seed
        self._rng = Random(f"operator {seed}")
        self._world = World(self._rng, draw(self._rng), trace_to)
        self._people = People(self._world)
        self._disasters = Disasters(self._world, self._people)
        self._verdict = Verdict(self._world, self._people)

    def play(self) -> Outcome:
        """Play it to its end."""
        world = self._world
        world.trace.note("world", f"faults: {world.network.faults}")
        broken: list[Flaw] = []
        try:
            self._play()
        except Spins as error:
            broken = [Flaw("hangs", str(error))]
        except Exception:  # noqa: BLE001 - a fault of the simulation fails this seed, not all that are played
            broken = [Flaw("hangs", f"the simulation broke: {traceback.format_exc()}")]
        finally:
            world.loop.close()
        flaws = [*broken, *world.witness.flaws]
        counts = {
            kind: sum(each.kind == kind for each in flaws) for kind in ("duplicates", "orphans", "hangs")
        }
        outcomes = Outcomes(converged=0 if flaws else 1, **counts)
        return Outcome(self._seed, tuple(each.what for each in flaws), outcomes, world.trace)

    def _play(self) -> None:
        world = self._world
        self._people.begin()
        world.operators.start()
        self._disasters.begin()
        self._pass(self._rng.uniform(60, 400))
        world.trace.note("world", "CALM")
        self._disasters.end()
        self._pass(200.0)  # those that pause go on
        if self._rng.random() < 0.7:
            world.operators.keep_one()
        self._converge("CALM")
        self._be_quiet()
        if world.cvat.asked_too_early:
            world.witness.complain("hangs", "CVAT was asked although it had asked to wait")
        if self._rng.random() < 0.5:
            world.trace.note("world", "THE END")
            if self._rng.random() < 0.25:
                world.network.away.add("cvat")  # for good: trackers are let go, and it is told what is left
            for key in self._people.names:
                self._people.delete(key)
            self._converge("THE END")

    def _converge(self, since: str) -> None:
        """Let people do what they are told to, until all is as they want it."""
        began = self._world.loop.time()
        good_at = [0.0]

        def step() -> bool:
            if self._world.loop.time() - began > 100.0:
                self._people.follow_advice()
            self._people.apply_all()
            good_at[0] = good_at[0] if not self._verdict.flaws() and good_at[0] else self._world.loop.time()
            return self._world.loop.time() - good_at[0] >= SETTLES

        # What is wanted again under a name that is still ending is made when that has ended.
        limit = (ENDS if self._is_anything_ending() else 0.0) + CONVERGES + SETTLES
        if not self._pass(limit, step):
            for flaw in self._verdict.flaws()[:5] or [Flaw("hangs", "it does not stay as it is")]:
                self._world.witness.complain(flaw.kind, f"{limit:.0f} s after {since}: {flaw.what}")

    def _be_quiet(self) -> None:
        before = len(self._world.writes)
        self._pass(QUIET)
        for write in self._world.writes[before:][:3]:
            self._world.witness.complain("hangs", f"although nothing happens: {write}")

    def _is_anything_ending(self) -> bool:
        trackers = [self._world.store.find(each) for each in self._people.names]
        return any(each is not None and each["metadata"].get("deletionTimestamp") for each in trackers)

    def _pass(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass; give whether it was cut short because all is done, as is seen now and then."""
        world = self._world
        over: list[bool] = []
        until = world.loop.time() + seconds

        def look() -> None:
            if done():
                over.append(True)
            elif world.loop.time() >= until:
                over.append(False)
            else:
                world.loop.outside(min(LOOK_EVERY, until - world.loop.time()), look)

        world.loop.outside(min(seconds, LOOK_EVERY), look)
        world.loop.run(lambda: bool(over), END)
        return over[0]


def run(seed: int, trace_to: TextIO | None = None) -> Outcome:
    """Play one seed; with `trace_to` everything that happens is printed there."""
    played = Run(seed, trace_to)
    with _logging(played, trace_to):
        return played.play()


@contextmanager
def _logging(played: Run, trace_to: TextIO | None) -> Iterator[None]:
    """Show the operators' logs in a trace, and else nowhere."""
    log = logging.getLogger("sam2_operator")
    level, propagates = log.level, log.propagate
    log.propagate = False
    log.setLevel(logging.INFO if trace_to is not None else logging.CRITICAL + 1)
    world = played._world
    handler = AgentLog(world.trace, world.network._who)
    if trace_to is not None:
        log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagates
