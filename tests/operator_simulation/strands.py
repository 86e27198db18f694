"""Blocking code in virtual time: reconciles run in threads of which only one ever runs.

The operator's reconcile blocks, so it needs a stack of its own. A strand is such a stack: it runs until it
waits, then the event loop goes on, and continues the strand when its time has come. Who runs when is decided
by the loop alone, so that a run is as repeatable as one without threads.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, cast

from tests.simulation.loop import VirtualLoop
from tests.simulation.processes import PROCESS, Process

T = TypeVar("T")
P = ParamSpec("P")


class Killed(BaseException):
    """The strand's process was killed; nothing of it may act any more."""


class Strand:
    """One call that blocks, on a thread that it has borrowed."""

    def __init__(self, loop: StrandLoop, process: Process | None, call: Callable[[], None]) -> None:
        self.process = process
        self._loop = loop
        self._call = call
        self._go, self._back = _baton(), _baton()
        self._waits = 0
        self._begun = False
        self.done = False

    def resume(self, wait: int = 0) -> None:
        """Run until it waits again or ends; called by the loop. A wait that is over already is left alone."""
        if self.done or wait != self._waits:
            return
        before, self._loop.strand = self._loop.strand, self
        if self._begun:
            self._go.release()
        else:
            self._begun = True
            _lend(self._run)
        self._back.acquire()
        self._loop.strand = before

    def wait(self) -> int:
        """Give the number of the next wait, by which `resume` ends it."""
        self._waits += 1
        return self._waits

    def rest(self) -> None:
        """Let the loop go on; called by the strand itself.

        Raises:
            Killed: its process was killed meanwhile.
        """
        self._back.release()
        self._go.acquire()
        self.check()

    def check(self) -> None:
        """Raise `Killed` if nothing of its process may act any more."""
        if self.process is not None and (self.process.killed or self.process.closed):
            raise Killed

    def unwind(self) -> None:
        """Let a strand of a killed process come to its end."""
        while not self.done and self._loop.strand is not self:
            self.resume(self._waits)

    def _run(self) -> None:
        try:
            self._call()
        except Killed:
            pass
        finally:
            self.done = True
            self._back.release()


class _Timer:
    """A callback for later, as asyncio's TimerHandle."""

    def __init__(self, handle: Any, when: float) -> None:
        self._handle, self._when = handle, when

    def cancel(self) -> None:
        self._handle.cancel()

    def cancelled(self) -> bool:
        return bool(self._handle.cancelled())

    def when(self) -> float:
        return self._when


class StrandLoop(VirtualLoop):
    """A virtual loop that also runs what blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.strand: Strand | None = None
        self.strands: dict[Process | None, list[Strand]] = {}

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> _Timer:
        return _Timer(super().call_at(when, callback, *args, context=context), when)

    def run_in_executor(
        self,
        executor: object,  # noqa: ARG002 - asyncio's
        call: Callable[P, T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> asyncio.Future[T]:
        """Run what blocks on a strand of the same process, whatever the executor."""
        future: asyncio.Future[T] = self.create_future()

        def body() -> None:
            try:
                result = call(*arguments, **named)
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits it
                settle(future.set_exception, error)
            else:
                settle(future.set_result, result)

        def settle(how: Callable[[Any], None], what: Any) -> None:
            if not future.done():
                how(what)

        strand = Strand(self, PROCESS.get(), body)
        alive = [each for each in self.strands.get(strand.process, ()) if not each.done]
        self.strands[strand.process] = [*alive, strand]
        self.call_soon(strand.resume)
        return future

    def in_strand(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Run what blocks, outside of all processes."""
        asyncio._set_running_loop(cast("asyncio.AbstractEventLoop", self))
        try:
            return self.run_in_executor(None, call)
        finally:
            asyncio._set_running_loop(None)

    def pass_time(self, seconds: float) -> None:
        """Wait, as time.sleep would.

        Raises:
            Killed: the strand's process was killed meanwhile.
        """
        strand = self.strand
        assert strand is not None, "only strands wait"
        strand.check()
        due = self._now + seconds
        frozen = strand.process is not None and strand.process.frozen
        if not frozen and not self._ready and (not self._timers or self._timers[0][0] > due):
            self._now = due  # nothing else happens until then: the loop need not be asked
            self._ran = 0
            return
        self.call_at(due, strand.resume, strand.wait(), context=_of(strand.process))
        strand.rest()

    def kill(self, process: Process) -> None:
        """End a process where it stands. Its calls that are on their way to a server get there."""
        process.kill()
        for strand in self.strands.pop(process, ()):
            strand.unwind()

    def close(self) -> None:
        for process in list(self.strands):
            if process is not None:
                process.closed = True
            for strand in self.strands[process]:
                strand.unwind()
        super().close()


class StrandLock:
    """A lock that strands wait for in virtual time; its holder may take it again."""

    def __init__(self, loop: StrandLoop) -> None:
        self._loop = loop
        self._holder: Strand | None = None
        self._held = 0
        self._waiting: deque[tuple[Strand, int]] = deque()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, timeout: float = -1) -> bool:
        """Take it; give up after so many seconds, unless that is negative."""
        me = self._loop.strand
        assert me is not None, "only strands take locks"
        until = self._loop.time() + timeout
        while self._holder not in (None, me):
            if timeout >= 0 and until <= self._loop.time():
                return False
            wait = me.wait()
            self._waiting.append((me, wait))
            if timeout >= 0:
                self._loop.call_at(until, me.resume, wait, context=_of(me.process))
            me.rest()
        self._holder = me
        self._held += 1
        return True

    def release(self) -> None:
        """Give it back."""
        self._held -= 1
        if self._held:
            return
        self._holder = None
        for strand, wait in self._waiting:
            self._loop.call_soon(strand.resume, wait, context=_of(strand.process))
        self._waiting.clear()


def _of(process: Process | None) -> contextvars.Context:
    context = contextvars.Context()
    context.run(PROCESS.set, process)
    return context


def _baton() -> threading.Lock:
    """A lock that one thread takes when another has given it."""
    lock = threading.Lock()
    lock.acquire()
    return lock


_idle: list[SimpleQueue[Callable[[], None]]] = []
"""Threads that wait for work."""


def _lend(work: Callable[[], None]) -> None:
    """Do some work on a thread that is idle, or on a new one."""
    if _idle:
        _idle.pop().put(work)
        return
    jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
    jobs.put(work)
    threading.Thread(target=_serve, args=(jobs,), daemon=True).start()


def _serve(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        work = jobs.get()
        work()
        _idle.append(jobs)
