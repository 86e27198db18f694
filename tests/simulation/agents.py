"""Agents as processes, and what keeps one of them running: the part that Kubernetes plays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Kind
from sam2_agent.core.status import Status
from sam2_agent.errors import GaveUp
from sam2_agent.loop import Agent
from sam2_agent.world import QueueWorld
from tests.simulation.cvat import CVAT
from tests.simulation.faults import Faults
from tests.simulation.loop import VirtualLoop
from tests.simulation.models import JitteryTracker, VirtualClock, VirtualCompute
from tests.simulation.network import Network, RedisClient, Route
from tests.simulation.ports import CVATPorts, refusal, unreachable
from tests.simulation.processes import PROCESS, Process
from tests.simulation.redis import SimRedis
from tests.simulation.trace import Trace
from tests.simulation.witness import LEASE_SECONDS, PREFIX, Seen, Witness
from tests.toy_tracker import ToyTracker

GRACE_SECONDS = 30.0
"""A process that was told to stop and still runs after so long is killed, as by the kubelet."""

PATIENCE = Patience()


class Counts:
    """Events, as far as somebody asks for them here."""

    def __init__(self) -> None:
        self.dropped = 0
        self.steps_computed = 0

    def computed(self, steps: int) -> None:
        self.steps_computed += steps

    def foreseen(self, steps: int) -> None: ...

    def reused(self, answers: int) -> None: ...

    def restored(self, steps: int) -> None: ...

    def damaged(self, kind: Kind | str) -> None: ...

    def lost(self) -> None: ...

    def memories_dropped(self, steps: int) -> None:
        self.dropped += steps

    def request(self, kind: str, outcome: str, seconds: float) -> None: ...

    def unavailable(self, reason: str) -> None: ...


class _RedisDoor(SimRedis):
    """The Redis server as one process's commands come in: the witness sees what they wrote."""

    def __init__(self, server: SimRedis, process: Process, witness: Witness) -> None:
        self._server = server
        self._process = process
        self._witness = witness

    def execute(self, *command: bytes | str | float) -> object:  # type: ignore[override]
        reply = self._server.execute(*command)
        if command[0] in ("EVALSHA", "EVAL"):
            self._witness.wrote(self._process, command)
        return reply


@dataclass(eq=False, slots=True)
class Running:
    """One agent."""

    process: Process
    holder: str
    agent: Agent
    status: Status
    compute: VirtualCompute
    counts: Counts
    task: asyncio.Task[None] | None = None
    stopping: bool = False
    thawed_at: float = 0.0


@dataclass(slots=True)
class Agents:
    """All agents of a run; `alive` are those that were neither killed nor ended, oldest first."""

    loop: VirtualLoop
    rng: Random
    seed: int
    faults: Faults
    cvat: CVAT
    redis: SimRedis
    network: Network
    redis_route: Route
    cvat_route: Route
    trace: Trace
    witness: Witness
    alive: list[Running] = field(default_factory=list)
    keep: int = 1
    """How many there should be."""
    ever: list[Running] = field(default_factory=list)
    _pods: int = 0
    _processes: int = 0

    def start(self, holder: str | None = None) -> Running:
        """Start an agent: in a new pod, or where `holder` is given in that pod again."""
        if holder is None:
            self._pods += 1
            holder = f"pod-{self._pods}"
        self._processes += 1
        process = Process(f"agent {self._processes}")
        rng = Random(f"{self.seed} {process.name}")
        clock = VirtualClock(self.loop, booted=rng.uniform(0, 1e6))
        status = Status("simulated", clock)
        compute = VirtualCompute(self.loop, rng, seconds=rng.choice((0.002, 0.05, 0.4)))
        tracker = JitteryTracker(rng, self.witness.read_by) if self.faults.jitter else ToyTracker()
        status.fingerprint = tracker.fingerprint
        door = _RedisDoor(self.redis, process, self.witness)
        store = RedisStore(
            RedisClient(door, self.network, process, self.redis_route),
            prefix=PREFIX.decode(),
            holder=holder,
            state_seconds=28800,
            memory_seconds=self.faults.memory_seconds,
            on_answer=lambda: status.answered("Redis"),
            now=clock.now,
        )
        ports = CVATPorts(self.cvat, self.network, self.cvat_route, process, status)
        counts = Counts()
        world = QueueWorld(
            tracker=tracker,
            compute=compute,
            apart=compute,
            queue=ports,
            frames=ports,
            store=store,
            clock=clock,
            rng=rng,
            events=counts,
        )
        agent = Agent(world, status, frozenset({"mask", "rectangle"}), PATIENCE)
        running = Running(process, holder, agent, status, compute, counts)
        self.witness.agents[process] = Seen(status, holder.encode())
        self.alive.append(running)
        self.ever.append(running)
        self.trace.note(process.name, f"starts in {holder}")
        running.task = self.loop.start(self._run(running), process, process.name)
        self.loop.when_done(running.task, lambda task: self._ended(running, task))
        return running

    async def _run(self, running: Running) -> None:
        await asyncio.sleep(0.2)  # the model is loaded
        await running.agent.run()

    def kill(self, running: Running) -> None:
        """End an agent where it stands."""
        if running in self.alive:
            running.process.kill()
            self.trace.note(running.process.name, "KILLED")
            self.witness.died_at.append(self.loop.time())
            self._gone(running)

    def pause(self, running: Running, seconds: float) -> None:
        """Stop an agent where it stands, for a while."""
        if not running.process.frozen:
            running.process.pause()
            self.trace.note(running.process.name, f"PAUSED for {seconds:.1f} s")
            if seconds > LEASE_SECONDS:  # to its successor it is as if it had died
                self.witness.died_at.append(self.loop.time())
            self.loop.outside(seconds, self.go_on, running)

    def go_on(self, running: Running) -> None:
        """Let a paused agent go on."""
        if running.process.frozen and not running.process.killed:
            self.trace.note(running.process.name, "CONTINUED")
            running.thawed_at = self.loop.time()
            self.loop.thaw(running.process)

    def terminate(self, running: Running) -> None:
        """Tell an agent to stop; kill it where it does not in time."""
        if not running.stopping:
            running.stopping = True
            self.trace.note(running.process.name, "TOLD TO STOP")
            self._stop(running)
            self.loop.outside(GRACE_SECONDS, self.kill, running)
            if self.rng.random() < 0.3:
                self.loop.outside(self.rng.uniform(0, 10), self._stop, running)

    def _stop(self, running: Running) -> None:
        if running in self.alive:
            self.loop.start(_stop(running.agent), running.process)

    def of(self, process: Process) -> Running | None:
        """The agent of a process, if it is alive."""
        return next((running for running in self.alive if running.process is process), None)

    def _ended(self, running: Running, task: asyncio.Task[None]) -> None:
        """An agent's `run` has returned or raised."""
        if running.process.killed or running.process.closed:
            return
        error = None if task.cancelled() else task.exception()
        if error is None and not running.stopping:
            self.witness.complain(f"{running.process.name} ended by itself")
        elif error is not None and not _gave_up(error):
            self.witness.complain(f"{running.process.name} ended with {_root(error)!r}")
        elif error is not None:
            self.trace.note(running.process.name, f"GAVE UP: {_root(error)}")
        else:
            self.trace.note(running.process.name, "stopped")
        self.witness.died_at.append(self.loop.time())
        running.process.killed = running.process.frozen = True
        self._gone(running)

    def _gone(self, running: Running) -> None:
        self.alive.remove(running)
        if len(self.alive) < self.keep:
            again = running.holder if not running.stopping and self.rng.random() < 0.5 else None
            self.loop.outside(self.rng.uniform(0.1, 12.0), self._replace, again)

    def _replace(self, holder: str | None) -> None:
        if len(self.alive) < self.keep and all(running.holder != holder for running in self.alive):
            self.start(holder)


def routes(rng: Random) -> tuple[Route, Route]:
    """How an agent reaches Redis and CVAT."""
    to_redis = Route(
        "Redis",
        latency=rng.choice((0.0005, 0.005)),
        timeout=10.0,
        lost=lambda: RedisConnectionError("the connection broke"),
        late=lambda: RedisTimeoutError("no reply"),
        refused=lambda: RedisConnectionError("refused"),
    )
    to_cvat = Route(
        "CVAT",
        latency=rng.choice((0.01, 0.08)),
        timeout=20.0,
        lost=unreachable,
        late=unreachable,
        refused=lambda: refusal(rng),
    )
    return to_redis, to_cvat


async def _stop(agent: Agent) -> None:
    agent.stop()


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _gave_up(error: BaseException) -> bool:
    return isinstance(_root(error), GaveUp)


def process_name() -> str:
    """The process whose code runs now."""
    process = PROCESS.get()
    return process.name if process else "world"
