"""Keeps kopf's watches running, in a thread and an event loop of their own.

kopf takes the event loop for its own: when it ends, it cancels every task that was begun after it. And it
ends by what a cluster gets over: credentials that expired, a right that is missing for a minute, a CRD that
is not there yet. So it has a loop for itself, what ended it is told in one sentence, and it is started again.
Meanwhile nothing is lost but time: the driver looks by itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import kopf

from sam2_operator import handlers
from sam2_operator.errors import KubernetesError
from sam2_operator.pace import backoff

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

_MOST_SECONDS = 60.0
_STOP_SECONDS = 5.0
_SOUND_SECONDS = 20.0
"""A kopf that still runs after this has got over its own retries."""


@dataclass(slots=True)
class Watches:
    """Wakes the driver from another thread, which `wake` has to allow."""

    wake: Callable[[str, str], None]
    scopes: Mapping[str, Callable[[], object]]
    """The namespaces, one of the empty name for all of them; each value raises `KubernetesError` while the
    operator cannot work there, which is when it cannot be watched either."""
    silence: float
    """Seconds without any event after which a watch is renewed."""
    random: random.Random
    registry: Callable[[handlers.Wake], kopf.OperatorRegistry] = handlers.registry
    """Gives the handlers of what is watched."""
    problem: str | None = None
    """Why the operator may not be told of changes."""
    _failure: str = ""
    _missing: str = ""
    """Why some namespaces are not watched."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ends: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the kopf that runs now."""
    _stopped: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch until stopped."""
        self._thread = threading.Thread(target=self._run, name="watches", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watches; waits a little, not for ever."""
        self._loop.call_soon_threadsafe(self._halt)
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    def _halt(self) -> None:
        self._stopped = True
        self._ends.set()

    def _run(self) -> None:
        # Of several watches that fail at once kopf looks at one; the loop would complain of the others.
        self._loop.set_exception_handler(lambda _, context: log.debug("kopf: %s", context))
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep())

    async def _keep(self) -> None:
        failures = 0
        while not self._stopped:
            began = self._loop.time()
            try:
                await self._watch()
                failures = 0
            except Exception as error:
                log.debug("kopf ended", exc_info=error)
                failures = 1 if self._loop.time() - began > 2 * _SOUND_SECONDS else failures + 1
                self._note(failure=_why(error))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ends.wait(), backoff(failures, _MOST_SECONDS, self.random))

    async def _watch(self) -> None:
        """Run kopf where there is something to watch: until it fails, or the rest is worth another try."""
        watched, missing = await asyncio.to_thread(self._usable)
        if not watched:
            raise missing[0]
        self._note(missing=" ".join(sorted({_why(each) for each in missing})))
        timers = [self._loop.call_later(_SOUND_SECONDS, lambda: self._note(failure=""))]
        if missing:
            timers.append(self._loop.call_later(_MOST_SECONDS, self._ends.set))
        try:
            await kopf.operator(
                registry=self.registry(self.wake),
                settings=handlers.settings(self.silence),
                standalone=True,
                clusterwide=watched == [""],
                namespaces=[name for name in watched if name],
                stop_flag=self._ends,
            )
        finally:
            for timer in timers:
                timer.cancel()
            if not self._stopped:
                self._ends.clear()

    def _usable(self) -> tuple[list[str], list[KubernetesError]]:
        watched, missing = [], []
        for name, usable in self.scopes.items():
            try:
                usable()
                watched.append(name)
            except KubernetesError as error:
                missing.append(error)
        return watched, missing

    def _note(self, *, failure: str | None = None, missing: str | None = None) -> None:
        self._failure = self._failure if failure is None else failure
        self._missing = self._missing if missing is None else missing
        why = " ".join(each for each in (self._missing, self._failure) if each)
        problem = (
            f"Changes in the cluster are noticed late, by looking every interval: {why}" if why else None
        )
        if problem is not None and problem != self.problem:
            log.warning("%s", problem)
        elif problem is None and self.problem is not None:
            log.info("Changes in the cluster are watched again.")
        self.problem = problem


def _why(error: Exception) -> str:
    """Say why there are no watches, in words that tell what to do: the gateway has such watches, too."""
    if isinstance(error, KubernetesError):
        return str(error)
    if isinstance(error, kopf.LoginError):
        return "The API server does not know this account (401): its token has expired."
    why = str(getattr(error, "message", "") or str(error) or type(error).__name__).rstrip(".")
    advice = " Give this account the rights listed in docs/operator.md." if "forbidden" in why else ""
    return f"{why}.{advice}"
