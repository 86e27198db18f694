"""One run: a world, its faults, and what became of the annotators' tracks.  A seed decides everything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, TextIO, TypeAlias

from tests.fault_table import Verdict, judge
from tests.simulation.agents import Agents, process_name, routes
from tests.simulation.annotators import Annotator
from tests.simulation.cvat import CVAT
from tests.simulation.disasters import Disasters
from tests.simulation.faults import Fate, Faults, draw, two_at_once
from tests.simulation.loop import Spins, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.processes import Process
from tests.simulation.redis import SimRedis
from tests.simulation.trace import AgentLog, Trace
from tests.simulation.witness import LEASE, MEMORY, REQUESTS, Witness

Scenario: TypeAlias = Literal["everything", "two-at-once"]
SCENARIOS: dict[Scenario, Callable[[Random], Faults]] = {"everything": draw, "two-at-once": two_at_once}

END = 3600.0
"""No run needs so many virtual seconds."""

CALM_SECONDS = 200.0
"""So long after the last fault every call has its answer."""

LOOK_EVERY = 5.0

MEMORIES_OF_AN_OBJECT = 9
MOST_OBJECTS = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed: `complaints` is empty where all was well."""

    seed: int
    complaints: tuple[str, ...]
    verdict: Verdict
    families: tuple[str, ...]
    trace: Trace


class Run:
    """A world made from a seed."""

    def __init__(self, seed: int, scenario: Scenario = "everything", trace_to: TextIO | None = None) -> None:
        self.seed = seed
        rng = self._rng = Random(f"{scenario} {seed}")
        self.loop = VirtualLoop()
        self.trace = Trace(self.loop.time, trace_to)
        self.faults = SCENARIOS[scenario](rng)
        self.trace.note("world", f"faults: {self.faults}")
        self.redis = SimRedis(self.loop.time)
        self.witness = Witness(self.loop.time, self.redis, "toy", self.faults.jitter)
        self.cvat = CVAT(self.loop, rng, self.faults.redelivery, self.faults.events, self.trace, self.witness)
        to_redis, to_cvat = routes(rng)
        network = Network(
            loop=self.loop,
            rng=rng,
            faults=self.faults,
            trace=self.trace,
            strike=self._befall,
            look=self.witness.calls,
        )
        self.agents = Agents(
            loop=self.loop,
            rng=rng,
            seed=seed,
            faults=self.faults,
            cvat=self.cvat,
            redis=self.redis,
            network=network,
            redis_route=to_redis,
            cvat_route=to_cvat,
            trace=self.trace,
            witness=self.witness,
        )
        self.disasters = Disasters(
            loop=self.loop,
            rng=rng,
            faults=self.faults,
            agents=self.agents,
            cvat=self.cvat,
            redis=self.redis,
            redis_route=to_redis,
            cvat_route=to_cvat,
            trace=self.trace,
            witness=self.witness,
        )
        self.routes = (to_redis, to_cvat)
        self.annotators = [self._annotator(number) for number in range(rng.choice((1, 1, 2, 3)))]

    def run(self) -> Outcome:
        """Play it."""
        world = self.loop.start(self._play())
        try:
            self.loop.run(lambda: world.done() or bool(self.witness.complaints), END)
            if world.done():
                world.result()
        except Spins as spins:
            self.witness.complain(str(spins))
        finally:
            self.loop.close()
        for complaint in self.witness.complaints:
            self.trace.note("WITNESS", complaint)
        return Outcome(
            self.seed, tuple(self.witness.complaints), self._verdict(), self.faults.families, self.trace
        )

    def _befall(self, process: Process, fate: Fate) -> None:
        self.disasters.befall(process, fate)

    def _annotator(self, number: int) -> Annotator:
        rng = self._rng
        return Annotator(
            name=f"annotator {number + 1}",
            rng=Random(f"{self.seed} annotator {number}"),
            cvat=self.cvat,
            witness=self.witness,
            trace=self.trace,
            pause=self.faults.seconds / rng.uniform(8, 30),
            compare=not self.faults.jitter,
            category=rng.choice(("interactive", "interactive", "batch")),
        )

    async def _play(self) -> None:
        self.agents.start()
        working = [
            self.loop.start(annotator.work(self._rng.choice((1, 1, 2)))) for annotator in self.annotators
        ]
        looking = self.loop.start(self._look())
        await self.disasters.rage(lambda: all(task.done() for task in working))
        for request in self.cvat.open_requests():
            if self.witness.stranded(request) and self.faults.redelivery.after_seconds is None:
                self.cvat.take_away(request)
        calm = self.loop.time()
        await self._until(lambda: all(task.done() for task in working), calm + END / 2, "annotators wait")
        for task in working:
            if task.done():  # else there is a complaint already
                task.result()
        await self._until(self._nothing_recorded, self.loop.time() + 60, "requests stay recorded")
        await self._until(self._ready, self.loop.time() + 60, "no agent is ready")
        looking.cancel()
        self._require_few_memories()
        self.agents.keep = 0
        for running in tuple(self.agents.alive):
            self.agents.terminate(running)
        await self._until(lambda: not self.agents.alive, self.loop.time() + 25, "agents do not stop")
        if self.redis.execute("GET", LEASE) is not None:
            self.witness.complain("the lease was not given up though all is calm")

    async def _until(self, condition: Callable[[], bool], until: float, otherwise: str) -> None:
        while not condition():
            if self.loop.time() > until:
                self.witness.complain(f"{otherwise} though all is calm")
                return
            await asyncio.sleep(0.5)

    def _require_few_memories(self) -> None:
        """At most nine memories of each track are in Redis, and what agents had no chance to drop."""
        memories = sum(key.startswith(MEMORY) for key in self.redis.keys)
        begun = sum(len(request.params.get("shapes", ())) for request in self.cvat.known.values())
        tracks = begun + sum(annotator.branches for annotator in self.annotators)
        dropped = sum(running.counts.dropped for running in self.agents.ever)
        killed = sum(running.process.killed for running in self.agents.ever)
        bound = MEMORIES_OF_AN_OBJECT * tracks + dropped + 2 * MOST_OBJECTS * killed
        if memories > bound and not self.faults.loses_answers:
            self.witness.complain(f"{memories} memories are in Redis; {bound} at most should be")

    def _nothing_recorded(self) -> bool:
        return not self.redis.execute("HGETALL", REQUESTS)

    def _ready(self) -> bool:
        return any(running.status.report().ready for running in self.agents.alive)

    async def _look(self) -> None:
        """Look now and then at what must be so all the time."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = self.loop.time()
            for running in self.agents.alive:
                if not running.process.frozen and now > running.thawed_at + 30 and not running.status.alive():
                    self.witness.complain(f"{running.process.name} counts as dead, but it is not")
            for route in self.routes:
                for who, moments in route.failed.items():
                    recent = sum(moment > now - LOOK_EVERY for moment in moments)
                    if recent > 150:
                        self.witness.complain(f"{who} asks {route.server} too often: {recent} failed in 5 s")
                    del moments[:-200]
            self._require_answers(now)

    def _require_answers(self, now: float) -> None:
        """In calm times every call is answered, but one that CVAT will never hand out again."""
        if self.witness.calm_since is None:
            if self.faults.redelivery.after_seconds is None and self._rng.random() < 0.2:
                for request in self.cvat.open_requests():
                    if self.witness.stranded(request) and now - request.held_since > 30:
                        self.cvat.take_away(request)
            return
        for request in self.cvat.open_requests():
            since = max(self.witness.calm_since, request.enqueued)
            if now > since + CALM_SECONDS:
                self.witness.complain(f"{request.id} has no answer after {now - since:.0f} calm seconds")

    def _verdict(self) -> Verdict:
        verdict = Verdict(tried=0)
        for annotator in self.annotators:
            verdict += judge(annotator.expected, annotator.got).model_copy(update={"tried": 0})
        return verdict.model_copy(update={"tried": 1, "differing": self.witness.differing})


def run(seed: int, scenario: Scenario = "everything", trace_to: TextIO | None = None) -> Outcome:
    """Play the run of a seed; with `trace_to` what happens is printed there, the agents' logs too."""
    played = Run(seed, scenario, trace_to)
    log = logging.getLogger("sam2_agent")
    level, propagate = log.level, log.propagate
    handler = AgentLog(played.trace, process_name)
    log.propagate = False
    if trace_to is None:
        log.setLevel(logging.CRITICAL + 1)
    else:
        log.setLevel(logging.INFO)
        log.addHandler(handler)
    try:
        return played.run()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
