"""An asyncio event loop in virtual time, in which simulated processes can be frozen.

When nothing is ready, time jumps to the next timer.  There are no threads, no sockets and no real clock, and
what is due at the same instant runs in the order in which it was asked for: so a run is decided by its inputs
alone.

Every callback knows the process that it belongs to, for asyncio hands a context down from a task to all that
it starts.  Callbacks of a frozen process are held back: as under SIGSTOP, while its clock passes on, or for
ever, as after SIGKILL.  No `finally` runs and nothing leaves the process, except what was on its way already.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, cast

from tests.simulation.processes import PROCESS, Process

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_CALLBACKS_AT_ONCE = 20_000
"""So many callbacks without time moving on are a loop that spins."""


class Spins(AssertionError):
    """The simulated world does not stand still, or never ends."""


class _Handle:
    """A callback that will run once, unless cancelled."""

    __slots__ = ("args", "callback", "context", "process")

    def __init__(
        self, callback: Callable[..., object], args: tuple[object, ...], context: contextvars.Context
    ) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self.process: Process | None = context.get(PROCESS)

    def cancel(self) -> None:
        self.callback = None
        self.args = ()

    def cancelled(self) -> bool:
        return self.callback is None


class VirtualLoop:
    """The part of an event loop that asyncio's tasks, futures, events, queues and timeouts need.

    `run` drives it.  `tasks` holds every task that is not done, oldest first.
    """

    def __init__(self) -> None:
        self._asyncio = cast("asyncio.AbstractEventLoop", self)  # it has all of it that is used here
        self._now = 0.0
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Handle]] = []
        self._number = count()
        self._ran = 0
        self._outside = contextvars.Context()
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.processes: list[Process] = []

    # What asyncio calls.

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, args, context if context is not None else contextvars.copy_context())
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> _Handle:
        handle = _Handle(callback, args, context if context is not None else contextvars.copy_context())
        heapq.heappush(self._timers, (when, next(self._number), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._asyncio)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self._asyncio, name=name, context=context)
        self.tasks[task] = None
        task.add_done_callback(self._forget, context=self._outside)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Leave alone what nobody asks for any more; whoever runs a simulation awaits what matters."""

    # What a simulation calls.

    def outside(self, delay: float, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Call after `delay` seconds, on behalf of no process: the network, a server, the hand of fate."""
        self.call_at(self._now + delay, callback, *args, context=self._outside)

    def when_done(self, task: asyncio.Task[T], callback: Callable[[asyncio.Task[T]], object]) -> None:
        """Call when a task has ended, on behalf of no process."""
        task.add_done_callback(callback, context=self._outside)

    def start(
        self, coro: Coroutine[Any, Any, T], process: Process | None = None, name: str | None = None
    ) -> asyncio.Task[T]:
        """Run a coroutine in a process, or outside of all."""
        if process is not None and process not in self.processes:
            self.processes.append(process)
        context = contextvars.Context()
        context.run(PROCESS.set, process)
        return self.create_task(coro, name=name, context=context)

    def thaw(self, process: Process) -> None:
        """Let a process go on with what it had to do, in the old order."""
        process.frozen = False
        self._ready.extend(process.held)
        process.held.clear()

    def run(self, done: Callable[[], bool], until: float) -> None:
        """Run until `done`; raises `Spins` where that is not so at the time `until`."""
        asyncio._set_running_loop(self._asyncio)
        try:
            while not done():
                self._turn(until)
        finally:
            asyncio._set_running_loop(None)

    def _turn(self, until: float) -> None:
        """Run all that is due at one instant."""
        if not self._ready:
            if not self._timers:
                raise Spins(f"after {self._now:.3f} s everybody waits for ever")
            if self._timers[0][0] > self._now:
                self._now = self._timers[0][0]
                self._ran = 0
            if self._now > until:
                raise Spins(f"it has not ended after {until:.0f} virtual seconds")
        while self._timers and self._timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(self._timers)[2])
        while self._ready:
            self._run(self._ready.popleft())
            self._ran += 1
            if self._ran > MAX_CALLBACKS_AT_ONCE:
                raise Spins(f"at {self._now:.3f} s something spins")

    @staticmethod
    def _run(handle: _Handle) -> None:
        callback = handle.callback
        if callback is None:
            return
        if handle.process is not None and handle.process.frozen:
            handle.process.held.append(handle)
            return
        handle.context.run(callback, *handle.args)

    def close(self) -> None:
        """End all tasks, also those of frozen processes; whatever they still try does nothing."""
        asyncio._set_running_loop(self._asyncio)
        try:
            for process in self.processes:
                process.closed = True
                self.thaw(process)
            while self.tasks:
                for task in tuple(self.tasks):
                    task.cancel()
                self._turn(self._now + 1000.0)
        finally:
            asyncio._set_running_loop(None)
            self._timers.clear()
