"""What befalls the world as a whole: servers that go away or lose data, agents that are killed or paused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.simulation.agents import Agents, Running
from tests.simulation.cvat import CVAT
from tests.simulation.faults import LOSSES, Disaster, Fate, Faults
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import LATE_SECONDS, Route
from tests.simulation.processes import Process
from tests.simulation.redis import SimRedis
from tests.simulation.trace import Trace
from tests.simulation.witness import LEASE, MEMORY, WRITTEN_ONCE, Witness

MAX_AGENTS = 3

_OF_AGENTS = {
    Disaster.KILL,
    Disaster.PAUSE,
    Disaster.TERMINATE,
    Disaster.SECOND_AGENT,
    Disaster.DEVICE_LOST,
    Disaster.DEVICE_FULL,
}
_OF_DATA = {*LOSSES, Disaster.REDIS_LOST_LEASE}


@dataclass(slots=True)
class Disasters:
    """Brings disasters about for a while, then calms the world."""

    loop: VirtualLoop
    rng: Random
    faults: Faults
    agents: Agents
    cvat: CVAT
    redis: SimRedis
    redis_route: Route
    cvat_route: Route
    trace: Trace
    witness: Witness
    _snapshots: list[tuple[float, object]] = field(default_factory=list)

    async def rage(self, done: Callable[[], bool]) -> None:
        """Let disasters happen, as the faults say or until `done`, and then calm the world."""
        ends = self.loop.time() + self.faults.seconds
        while (wait := self.rng.expovariate(1 / self.faults.every)) < ends - self.loop.time():
            if done():
                ends = self.loop.time()
                break
            if Disaster.REDIS_WENT_BACK in self.faults.disasters:
                self._snapshots.append((self.loop.time(), self.redis.snapshot()))
            await asyncio.sleep(wait)
            self.strike(self.rng.choice(self.faults.disasters))
        await asyncio.sleep(ends - self.loop.time())
        self._calm()
        await asyncio.sleep(self.cvat_route.timeout + LATE_SECONDS)  # what was late on its way has arrived
        self.witness.calm_since = self.loop.time()
        self.trace.note("world", "CALM")

    def befall(self, process: Process, fate: Fate) -> None:
        """Kill or pause a process in the middle of a call."""
        running = self.agents.of(process)
        if running is None:
            return
        self._trouble()
        if fate in (Fate.KILLED_BEFORE, Fate.KILLED_AFTER):
            self.agents.kill(running)
        else:
            self._pause(running)

    def strike(self, disaster: Disaster) -> None:
        """Bring one disaster about."""
        self._trouble()
        self.trace.note("world", disaster.name)
        if disaster in _OF_AGENTS:
            self._strike_an_agent(disaster)
        elif disaster in _OF_DATA:
            self._redis_loses(disaster)
        else:
            self._strike_a_server(disaster)

    def _strike_an_agent(self, disaster: Disaster) -> None:
        if disaster is Disaster.SECOND_AGENT:
            if len(self.agents.alive) < MAX_AGENTS:
                self.agents.start()
            return
        if not self.agents.alive:
            return
        victim = self.rng.choice(self.agents.alive)
        match disaster:
            case Disaster.KILL:
                self.agents.kill(victim)
            case Disaster.PAUSE:
                self._pause(victim)
            case Disaster.TERMINATE:
                self.agents.terminate(victim)
            case Disaster.DEVICE_LOST:
                victim.compute.break_device()
            case Disaster.DEVICE_FULL:
                victim.compute.fill_device(self.rng.choice((1, 1, 2)))

    def _strike_a_server(self, disaster: Disaster) -> None:
        seconds = self.rng.choice((self.rng.uniform(0.5, 20), self.rng.uniform(5, 150)))
        match disaster:
            case Disaster.REDIS_FULL:
                self.redis.maxmemory = int(
                    self.redis.used * self.rng.choice((0.0, self.rng.uniform(0.3, 1.1)))
                )
                self.loop.outside(seconds, self._redis_has_room)
            case Disaster.REDIS_RESTARTED:
                self.redis.restart()
            case Disaster.REDIS_AWAY:
                self._away(self.redis_route, seconds)
            case Disaster.CVAT_AWAY:
                self._away(self.cvat_route, seconds)
            case Disaster.CVAT_REFUSES:
                self.cvat_route.refuses = True
                self.loop.outside(seconds, self._cvat_serves)
            case Disaster.STREAMS_CUT:
                self.cvat.cut_streams()
            case Disaster.REQUEST_TAKEN:
                if requests := self.cvat.open_requests():
                    self.cvat.take_away(self.rng.choice(requests))

    def _redis_loses(self, disaster: Disaster) -> None:
        match disaster:
            case Disaster.REDIS_FLUSHED:
                self.redis.flush()
            case Disaster.REDIS_LOST_SECONDS:
                self.redis.lose_since(self.loop.time() - self.rng.uniform(0, 1.5))
            case Disaster.REDIS_WENT_BACK if self._snapshots:
                self.redis.restore(self.rng.choice(self._snapshots)[1])  # type: ignore[arg-type]
            case Disaster.REDIS_EVICTED:
                self.redis.evict(self.rng, self.rng.randint(1, 40))
            case Disaster.REDIS_DAMAGED:
                self.witness.damaged.update(
                    self.redis.damage(self.rng, self.rng.randint(1, 40), (*WRITTEN_ONCE, MEMORY))
                )
            case Disaster.REDIS_LOST_LEASE:
                self.redis.execute("DEL", LEASE)
                self.witness.redis_lost(data=False)
                return
            case _:
                return
        self.witness.redis_lost(data=True)
        if self.agents.alive and self.rng.random() < 0.4:  # the node that both ran on
            self.agents.kill(self.rng.choice(self.agents.alive))

    def _pause(self, running: Running) -> None:
        seconds = self.rng.choice(
            (self.rng.uniform(0.1, 15), self.rng.uniform(15, 20), self.rng.uniform(15, 90))
        )
        self.agents.pause(running, seconds)
        if len(self.agents.alive) < MAX_AGENTS and self.rng.random() < 0.7:
            self.agents.start()

    def _away(self, route: Route, seconds: float) -> None:
        if not route.away:
            route.away, route.hangs = True, self.rng.random() < 0.3
            self.loop.outside(seconds, self._back, route)

    def _back(self, route: Route) -> None:
        if route.away:
            self.trace.note("world", f"{route.server} is back")
            route.away = False
            self._trouble()

    def _redis_has_room(self) -> None:
        self.redis.maxmemory = None
        self._trouble()

    def _cvat_serves(self) -> None:
        self.cvat_route.refuses = False
        self._trouble()

    def _trouble(self) -> None:
        self.witness.troubled_at.append(self.loop.time())

    def _calm(self) -> None:
        self.faults.calm()
        self._back(self.redis_route)
        self._back(self.cvat_route)
        self._redis_has_room()
        self._cvat_serves()
        for running in self.agents.alive:
            self.agents.go_on(running)
