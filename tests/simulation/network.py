"""Calls between processes and servers, with what may befall them on the way.

    caller        network          server
    call ───────► there ─────────► operation          killed, paused or lost before the operation,
    reply ◄────── back  ◄───────── result             or between it and the reply

What is on its way goes on when its caller is paused or killed.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

from redis.asyncio.client import Pipeline

from sam2_agent.adapters import redis_scripts
from tests.simulation.faults import Fate, Faults, Server
from tests.simulation.loop import VirtualLoop
from tests.simulation.processes import Process
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.trace import Trace

T = TypeVar("T")

LATE_SECONDS = 12.0
"""Something late comes up to so many seconds after its time."""


@dataclass(slots=True)
class Route:
    """How one server is reached: usual latency, the caller's patience, what the caller's client raises."""

    server: Server
    latency: float
    timeout: float
    lost: Callable[[], Exception]
    late: Callable[[], Exception]
    refused: Callable[[], Exception]
    away: bool = False
    hangs: bool = False
    """While it is away: calls get no reply at all, instead of a refused connection."""
    refuses: bool = False
    """It answers every call that it cannot now."""
    failed: dict[str, list[float]] = field(default_factory=dict)
    """When calls failed, by caller."""


@dataclass(slots=True)
class Network:
    """Carries calls.

    `strike` is called with a process and what befalls it, KILLED... or PAUSED...; `look` whenever one calls.
    """

    loop: VirtualLoop
    rng: Random
    faults: Faults
    trace: Trace
    strike: Callable[[Process, Fate], None]
    look: Callable[[Process], None]

    async def call(self, process: Process, route: Route, what: object, operation: Callable[[], T]) -> T:
        """Have the server run `operation` and return what it returns; raises what it or the network does."""
        if process.closed:
            raise route.lost()
        self.look(process)
        call = _Call(self, process, route, what, operation)
        call.send()
        ok, value = await call.reply
        if ok:
            return cast("T", value)
        raise value

    def latency(self, route: Route) -> float:
        """Draw how long one way takes."""
        return route.latency * (0.5 + self.rng.expovariate(1.0))


class _Call:
    """One call on its way."""

    __slots__ = ("_fate", "_network", "_operation", "_process", "_route", "_what", "reply")

    def __init__(
        self,
        network: Network,
        process: Process,
        route: Route,
        what: object,
        operation: Callable[[], object],
    ) -> None:
        self._network = network
        self._process = process
        self._route = route
        self._what = what
        self._operation = operation
        self._fate = network.faults.fate(network.rng)
        self.reply = network.loop.create_future()

    def send(self) -> None:
        network, fate = self._network, self._fate
        if fate in (Fate.KILLED_BEFORE, Fate.PAUSED_BEFORE):
            self._note(fate.name, self._what)
            network.strike(self._process, fate)
            if fate is Fate.KILLED_BEFORE:
                return
        there = network.latency(self._route)
        match fate:
            case Fate.REQUEST_LOST:
                self._fail_soon(there, self._route.lost())
            case Fate.REQUEST_LATE:
                network.loop.outside(self._route.timeout, self._fail, self._route.late())
                # Often just when the caller tries again.
                late = self._route.timeout + network.rng.uniform(0, network.rng.choice((1.0, LATE_SECONDS)))
                network.loop.outside(late, self._arrive)
            case _:
                network.loop.outside(there, self._arrive)

    def _arrive(self) -> None:
        """The server runs the operation."""
        network, route = self._network, self._route
        if route.away:
            if route.hangs:
                self._fail_soon(route.timeout, route.late())
            else:
                self._fail_soon(network.latency(route), route.lost())
            return
        if route.refuses or (self._fate is Fate.REFUSED and route.server == "CVAT"):
            self._fail_soon(network.latency(route), route.refused())
            return
        result: tuple[bool, Any]
        try:
            result = True, self._operation()
        except Exception as error:  # noqa: BLE001  (it is the caller's)
            result = False, error
        if result[0]:
            self._note(self._what)
        else:
            self._note(self._what, result[1])
        match self._fate:
            case Fate.KILLED_AFTER | Fate.PAUSED_AFTER:
                self._note(self._fate.name, self._what)
                network.strike(self._process, self._fate)
            case Fate.REPLY_LOST:
                self._fail_soon(network.latency(route), route.lost())
                return
            case Fate.REPLY_LATE if network.rng.random() < 0.5:
                self._fail_soon(route.timeout, route.late())
                return
            case Fate.REPLY_LATE:
                network.loop.outside(network.rng.uniform(0, route.timeout), self._answer, result)
                return
        network.loop.outside(network.latency(route), self._answer, result)

    def _fail_soon(self, delay: float, error: Exception) -> None:
        self._network.loop.outside(delay, self._fail, error)

    def _fail(self, error: Exception) -> None:
        self._note("FAILED", self._what, type(error).__name__)
        self._route.failed.setdefault(self._process.name, []).append(self._network.loop.time())
        self._answer((False, error))

    def _answer(self, result: tuple[bool, Any]) -> None:
        if not self.reply.done():
            self.reply.set_result(result)

    def _note(self, *what: object) -> None:
        self._network.trace.note(self._process.name, self._route.server, *what)


class RedisClient(SimRedisClient):
    """redis-py's client in one process.

    A pipeline's commands travel together; the connection may break between any two of them.
    """

    def __init__(self, server: SimRedis, network: Network, process: Process, route: Route) -> None:
        super().__init__(server, self._carry_alone)
        self._network = network
        self._process = process
        self._route = route

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Carry one command."""
        self._what = _Command(args)
        return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Return a pipeline."""
        together = copy.copy(self)
        together._carry = _Together(self._network, self._process, self._route)
        return SimRedisClient.pipeline(together, transaction, shard_hint)

    def _carry_alone(self, operation: Callable[[], Any]) -> Awaitable[Any]:
        return self._network.call(self._process, self._route, self._what, operation)


class _Together:
    """Carries the commands of one pipeline: the first as any call, the others right behind it."""

    def __init__(self, network: Network, process: Process, route: Route) -> None:
        self._network = network
        self._process = process
        self._route = route
        self._first = True

    async def __call__(self, operation: Callable[[], Any]) -> Any:
        if self._first:
            self._first = False
            return await self._network.call(self._process, self._route, "pipeline", operation)
        fate = self._network.faults.fate(self._network.rng)
        if fate is Fate.FINE and not self._route.away and not self._process.closed:
            return operation()
        return await self._network.call(self._process, self._route, "in a pipeline", operation)


class _Command:
    """A command in a few words, a script by its name and the keys that it touches."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self._parts = parts

    def __str__(self) -> str:
        name, *rest = self._parts
        if name == "SCRIPT LOAD":
            return f"{name} {_SCRIPTS.get(_sha(rest[0]), '')}"
        if name != "EVALSHA":
            return " ".join(map(_brief, (name, *rest[:1])))
        keys = map(_brief, rest[2 : 2 + int(rest[1])])
        return " ".join((_SCRIPTS.get(rest[0], name), *keys))


def _sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()  # noqa: S324  (Redis names scripts so)


_SCRIPTS = {_sha(text): name for name, text in vars(redis_scripts).items() if name.isupper()}


def _brief(part: object) -> str:
    text = part.decode(errors="replace") if isinstance(part, bytes) else str(part)
    text = text.rpartition("}:")[2]
    return text if len(text) <= 24 else text[:20] + "…"
