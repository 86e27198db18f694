"""When each tracker is reconciled: one task for each, never two reconciles of one at once.

Whatever is noticed only wakes a task; an interval reconciles without being woken, so that a lost notification
costs time and nothing else. A sweep finds trackers that nobody told about. Liveness comes from here: it is
the reconciles that must make progress, not the process.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.errors import ConflictError, KubernetesError, OperatorError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from concurrent.futures import Executor

    from sam2_operator.core.observed import Pod
    from sam2_operator.reconcile import Outcome

log = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name."""

_JITTER = 0.1
_FIRST_RETRY_SECONDS = 1.0
_CALM_SECONDS = 0.3
"""Notifications come in bursts: a task woken again waits this long, and answers them all."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are done, in seconds."""

    interval: float
    """A tracker is reconciled at least this often."""
    agent_interval: float
    """An agent is asked, and a tracker that is not ready is reconciled, this often."""
    stuck: float = 300.0
    """A reconcile this late means that the operator makes no progress."""


@dataclass(slots=True)
class _Driven:
    wake: asyncio.Event
    due: float
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Driver:
    """Reconciles trackers in threads, from one event loop."""

    reconcile: Callable[[str, str], Outcome]
    serves: Callable[[Pod], bool]
    """Whether an agent still says that it serves."""
    names: Callable[[], list[Key]]
    """All trackers."""
    observe: Callable[[str, float], None]
    """Takes the result and the duration in seconds of each reconcile."""
    executor: Executor
    pace: Pace
    random: random.Random
    _driven: dict[Key, _Driven] = field(default_factory=dict)
    _ready: set[Key] = field(default_factory=set)
    swept: bool = False
    """Whether all trackers there were at the start are known."""

    def wake(self, namespace: str, name: str) -> None:
        """Reconcile a tracker soon."""
        key = (namespace, name)
        driven = self._driven.get(key)
        if driven is None:
            loop = asyncio.get_running_loop()
            driven = self._driven[key] = _Driven(asyncio.Event(), due=loop.time())
            driven.task = loop.create_task(self._drive(key, driven), name=f"tracker {namespace}/{name}")
        driven.wake.set()

    async def sweep(self) -> None:
        """Find trackers that nobody told about, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                for namespace, name in await loop.run_in_executor(self.executor, self.names):
                    if (namespace, name) not in self._driven:
                        self.wake(namespace, name)
                self.swept = True
            except KubernetesError as error:
                log.warning("The trackers cannot be listed: %s", error)
            await asyncio.sleep(
                self._jittered(self.pace.interval if self.swept else self.pace.agent_interval)
            )

    async def stop(self) -> None:
        """End all tasks; a reconcile that runs ends by itself."""
        tasks = [driven.task for driven in self._driven.values() if driven.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def counts(self) -> tuple[int, int]:
        """Give how many trackers there are, and how many of them are ready."""
        return len(self._driven), len(self._ready)

    def overdue(self) -> str | None:
        """Give a tracker whose reconcile is so late that the operator must be stuck."""
        now = asyncio.get_running_loop().time()
        late = (key for key, driven in self._driven.items() if now - driven.due > self.pace.stuck)
        return next((f"{namespace}/{name}" for namespace, name in late), None)

    async def _drive(self, key: Key, driven: _Driven) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            driven.wake.clear()
            outcome = await self._once(key)
            if outcome is not None and not outcome.exists and not driven.wake.is_set():
                break
            failures = failures + 1 if outcome is None else 0
            delay = self._delay(outcome, failures)
            driven.due = loop.time() + delay
            await self._rest(driven, outcome, delay)
            driven.due = loop.time()
        self._ready.discard(key)
        del self._driven[key]

    async def _once(self, key: Key) -> Outcome | None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        result, outcome = "error", None
        try:
            outcome = await loop.run_in_executor(self.executor, self.reconcile, *key)
            result = "done"
        except ConflictError as error:
            result = "conflict"
            log.debug("%s/%s: %s", *key, error)
        except OperatorError as error:
            log.warning("%s/%s: %s", *key, error)
        except Exception:
            log.exception("%s/%s: reconciling failed", *key)
        seconds = loop.time() - started
        log.debug("%s/%s: %s after %.4f s", *key, result, seconds)
        self.observe(result, seconds)
        if outcome is not None:
            (self._ready.add if outcome.ready else self._ready.discard)(key)
        return outcome

    async def _rest(self, driven: _Driven, outcome: Outcome | None, delay: float) -> None:
        """Wait until the tracker is woken, the delay is over, or its agent no longer serves."""
        loop = asyncio.get_running_loop()
        until = loop.time() + delay
        while (left := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(
                    driven.wake.wait(), min(left, self._jittered(self.pace.agent_interval))
                )
            except TimeoutError:
                pod = outcome.pod if outcome is not None and outcome.ready else None
                if pod is not None and not await loop.run_in_executor(self.executor, self.serves, pod):
                    return
            else:
                await asyncio.sleep(_CALM_SECONDS)
                return

    def _delay(self, outcome: Outcome | None, failures: int) -> float:
        if outcome is None:
            backoff = _FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10)
            return self._jittered(min(backoff, self.pace.interval))
        usual = self.pace.interval if outcome.ready else self.pace.agent_interval
        return self._jittered(usual if outcome.retry_seconds is None else outcome.retry_seconds)

    def _jittered(self, seconds: float) -> float:
        return seconds * self.random.uniform(1 - _JITTER, 1 + _JITTER)
