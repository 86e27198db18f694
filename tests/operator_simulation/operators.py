"""Operator processes: the real parts, wired together, with a driver that decides when."""

from __future__ import annotations

import contextvars
import itertools
import math
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, cast

from kubernetes.client import ApiClient

from sam2_operator import wiring
from sam2_operator.adapters.kube.objects import Kube
from sam2_operator.core.locks import KeyedLocks
from sam2_operator.core.naming import INSTANCE_LABEL
from sam2_operator.driver import Driver
from sam2_operator.pace import Pace
from sam2_operator.settings import Settings
from tests.operator_simulation.kubernetes.http import SimApi
from tests.operator_simulation.ports import Asker, Counts, SimAgents, SimCvat, SimStateStore, VirtualClock
from tests.operator_simulation.strands import StrandLock
from tests.simulation.processes import PROCESS, Process

if TYPE_CHECKING:
    from sam2_operator.core.observed import Manifest, Pod
    from sam2_operator.core.outcome import Outcome
    from tests.operator_simulation.world import World

DEADLINE = 600.0
"""Seconds after which a tracker that is deleted is let go."""
INTERVAL = 120.0
AGENT_INTERVAL = 15.0
LANDS = 60.0
"""What a process sent is done, or lost, after so many seconds at the latest."""
MOST = 3
"""No more run at a time."""


class StrandLocks(KeyedLocks):
    """The operator's locks, for strands."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._loop = world.loop
        self._named: dict[str, StrandLock] = {}

    def held(self, key: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return self._named.setdefault(key, StrandLock(self._loop))


class Operator:
    """One process."""

    def __init__(self, world: World, name: str) -> None:
        self.process = Process(name)
        self._world = world
        self._uids: dict[object, str] = {}
        """Which tracker each strand works for: what CVAT is asked to make is made for that one."""
        clock = VirtualClock(world.loop, world.rng.uniform(-2, 2))
        api = SimApi(cast("ApiClient", None), server=world.server, network=world.network, writes=world.writes)
        self.kube = _Kube(api, clock, (), name, self)
        agents = SimAgents(clock, world.network, world.agents.says)
        cvat = SimCvat(world.cvat, world.network, clock, asker=Asker(name, self._tracker, world.writes))
        store = SimStateStore(world.redis, world.network)
        outside = wiring.World(
            self.kube, self.kube, cvat, store, agents, clock, Counts(self._tracker, world.witness.leave)
        )
        settings = Settings(agent_image="sam2-tracker-agent:sim", deletion_deadline_seconds=DEADLINE)
        self.reconciler = wiring.reconciler(settings, outside, name)
        object.__setattr__(self.reconciler.registrar, "locks", StrandLocks(world))
        self._agents = agents
        self._driver: Driver | None = None
        self._context = contextvars.Context()
        self._context.run(PROCESS.set, self.process)
        world.loop.start(self._operate(), self.process, name)

    async def _operate(self) -> None:
        self._driver = Driver(
            reconcile=self._reconcile,
            serves=self._serves,
            scopes=wiring.swept({"": lambda: self.kube.names("")}, self.reconciler),
            observe=lambda _result, _seconds: None,
            executor=cast("Executor", None),
            workers=4,
            pace=Pace(INTERVAL, AGENT_INTERVAL),
            random=Random(self._world.rng.random()),
        )
        await self._driver.run()

    def notice(self, namespace: str, name: str, delay: float) -> None:
        """Bring a notice of the watch, later."""
        loop = self._world.loop
        loop.call_at(loop.time() + delay, self._wake, namespace, name, context=self._context)

    def seen(self, uid: str) -> None:
        """Note which tracker the strand that runs now has read."""
        self._uids[self._world.loop.strand] = uid

    def _wake(self, namespace: str, name: str) -> None:
        if self._driver is not None:
            self._driver.wake(namespace, name)

    def _reconcile(self, namespace: str, name: str) -> Outcome:
        self._world.begin(f"{namespace}/{name}", self.process)
        try:
            return self.reconciler.reconcile(namespace, name)
        except Exception as error:
            self._world.failed(self.process, f"{namespace}/{name}", error)
            raise
        finally:
            self._uids.pop(self._world.loop.strand, None)
            self._world.end(f"{namespace}/{name}", self.process)

    def _serves(self, pod: Pod) -> bool:
        report = self._agents.report(pod)
        return report is not None and report.ready

    def _tracker(self) -> str | None:
        return self._uids.get(self._world.loop.strand)


@dataclass(frozen=True, slots=True)
class _Kube(Kube):
    """The operator's own adapter, which also tells which tracker is being worked for."""

    operator: Operator

    def tracker(self, namespace: str, name: str):  # type: ignore[no-untyped-def]
        found = Kube.tracker(self, namespace, name)
        if found is not None and self.operator._tracker() is None:
            self.operator.seen(found.metadata.uid)
        return found


@dataclass
class Operators:
    """The processes that run."""

    world: World
    running: list[Operator] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _several_until: float = -math.inf
    """When more than one ran for the last time."""

    def start(self) -> None:
        self.running.append(Operator(self.world, f"operator-{next(self._numbers)}"))
        self._note_number()

    def was_alone(self, since: float) -> bool:
        """Whether never more than one was at work since then, what they had sent before included."""
        self._note_number()
        return self._several_until + LANDS < since

    def _note_number(self) -> None:
        if len(self.running) > 1:
            self._several_until = self.world.loop.time()

    def start_another(self) -> None:
        """Start one besides those that run, unless they are many."""
        if len(self.running) < MOST:
            self.start()

    def kill(self, process: Process) -> None:
        """Kill one; another is started some time later, unless one runs still."""
        self._note_number()
        self.running = [each for each in self.running if each.process is not process]
        self.world.loop.kill(process)
        delay = self.world.rng.choice((1.0, 5.0, 30.0, 100.0))
        self.world.loop.outside(delay, self._replace)

    def pause(self, process: Process) -> None:
        """Stop one for a while; Kubernetes may start another meanwhile."""
        process.pause()
        seconds = self.world.rng.choice((1.0, 20.0, 70.0, 150.0))
        self.world.loop.outside(seconds, self.world.loop.thaw, process)
        if self.world.rng.random() < 0.5:
            self.start_another()

    def keep_one(self) -> None:
        """End all but the last."""
        self._note_number()
        for each in self.running[:-1]:
            self.world.loop.kill(each.process)
        self.running = self.running[-1:]
        self._replace()

    def notice(self, plural: str, live: Manifest) -> None:
        """Tell the watches of all that run, sooner or later, or never."""
        metadata = live["metadata"]
        if plural == "statefulsets":
            name = metadata.get("labels", {}).get(INSTANCE_LABEL)
        else:
            name = metadata["name"] if plural == "sam2trackers" else None
        if name is None:
            return
        for each in self.running:
            if self.world.rng.random() >= self.world.network.faults.notices_lost:
                each.notice(metadata["namespace"], name, self.world.rng.uniform(0.005, 1.5))

    def _replace(self) -> None:
        if not self.running:
            self.start()
