"""When each tracker is reconciled: by workers that take keys from a queue, a key by one worker at a time.

Whatever is noticed only adds a key; an interval adds it without any notice, so that a lost notification costs
time and nothing else. A sweep finds trackers that nobody told about. Failures come back with exponential
backoff, and whoever is woken without end is looked at ever less often. Liveness comes from here: it is the
reconciles that must make progress, not the process; a reconcile that fails has ended, and is progress.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from sam2_operator.errors import ConflictError, KubernetesError, OperatorError
from sam2_operator.pace import Tracked, jittered, phases
from sam2_operator.workqueue import Workqueue

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from sam2_operator.core.observed import Pod
    from sam2_operator.core.outcome import Outcome
    from sam2_operator.pace import Pace

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Key: TypeAlias = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class Driver:
    """Reconciles trackers in threads, from one event loop."""

    reconcile: Callable[[str, str], Outcome]
    serves: Callable[[Pod], bool]
    """Whether an agent still says that it serves."""
    scopes: Sequence[Callable[[], Sequence[Key]]]
    """Each lists trackers: those of a part of the cluster, or such as may be gone."""
    observe: Callable[[str, float], None]
    """Takes the result and the duration in seconds of each reconcile."""
    executor: Executor
    """With a thread for each worker and one more."""
    workers: int
    pace: Pace
    random: random.Random
    waited: Callable[[float], None] = lambda _: None
    """Takes the seconds for which each tracker had to wait for a worker."""
    problem: str | None = "The trackers have not been listed yet."
    """Why the operator may not know all trackers."""
    _queue: Workqueue[Key] = field(init=False)
    _tracked: dict[Key, Tracked] = field(default_factory=dict)
    _phases: Iterator[float] = field(init=False)
    _running: dict[str, float] = field(default_factory=dict)
    """What is done in threads, and since when."""
    _ended: float = 0.0
    """When a reconcile last ended."""

    def __post_init__(self) -> None:
        self._queue = Workqueue(self.waited)
        self._phases = phases(self.random.random())

    async def run(self) -> None:
        """Reconcile until stopped; then wait for what runs to end."""
        sweep = asyncio.create_task(self._sweep(), name="sweep")
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(), name=f"worker {number}")
        finally:
            sweep.cancel()
            await asyncio.gather(sweep, return_exceptions=True)

    def stop(self) -> None:
        """Begin nothing new."""
        self._queue.close()

    def wake(self, namespace: str, name: str) -> None:
        """Reconcile a tracker soon."""
        key = (namespace, name)
        tracked = self._tracked.get(key)
        if tracked is None:
            self._tracked[key] = Tracked(next(self._phases))
            self._queue.add(key)
        else:
            tracked.woken = True
            self._queue.add_after(key, tracked.calm(self.pace))

    def counts(self) -> tuple[int, int]:
        """Give how many trackers there are, and how many of them are ready."""
        outcomes = [tracked.outcome for tracked in self._tracked.values()]
        return len(outcomes), sum(outcome is not None and outcome.ready for outcome in outcomes)

    def reasons(self) -> Counter[str]:
        """Give how many trackers are not ready for which reason."""
        outcomes = [tracked.outcome for tracked in self._tracked.values()]
        return Counter(each.reason for each in outcomes if each is not None and not each.ready)

    def waiting(self) -> int:
        """Give how many trackers wait for a worker."""
        return len(self._queue)

    def stuck(self) -> str | None:
        """Give what takes so long that the operator must be stuck. What fails does not: it ends."""
        now = asyncio.get_running_loop().time()
        limit = self.pace.stuck if now - self._ended > self.pace.stuck else self.pace.hung
        return next((what for what, since in self._running.items() if now - since > limit), None)

    async def _sweep(self) -> None:
        """Find trackers that nobody told about, again and again."""
        while True:
            problems = [problem for scope in self.scopes if (problem := await self._listed(scope))]
            problem = " ".join(problems) or None
            if problem is not None and problem != self.problem:
                log.warning("%s", problem)
            elif problem is None and self.problem is not None:
                log.info("All trackers are known.")
            self.problem = problem
            rest = self.pace.interval if problem is None else self.pace.agent_interval
            await asyncio.sleep(jittered(rest, self.random))

    async def _listed(self, scope: Callable[[], Sequence[Key]]) -> str | None:
        try:
            for namespace, name in await self._in_thread("listing trackers", scope):
                if (namespace, name) not in self._tracked:
                    self.wake(namespace, name)
        except KubernetesError as error:
            return f"The trackers cannot be listed: {error}"
        except Exception as error:
            log.exception("listing the trackers failed")
            return f"The trackers cannot be listed: {type(error).__name__}."
        return None

    async def _work(self) -> None:
        while (key := await self._queue.get()) is not None:
            try:
                await self._process(key)
            except Exception:
                log.exception("%s/%s: it will be tried again", *key)
                self._queue.add_after(key, self.pace.interval)
            finally:
                self._queue.done(key)

    async def _process(self, key: Key) -> None:
        """Reconcile, or only ask the agent whether it still serves; and say when to come back."""
        loop = asyncio.get_running_loop()
        tracked = self._tracked.get(key)
        if tracked is None:
            return  # woken before it was found to be gone
        pod = tracked.pod_to_ask(loop.time())
        asking = f"asking the agent of {'/'.join(key)}"
        if pod is None or not await self._in_thread(asking, self.serves, pod):
            tracked.begin(loop.time(), self.pace)
            outcome = await self._reconciled(key, tracked)
            if outcome is not None and not outcome.exists and not tracked.woken:
                del self._tracked[key]
                return
            tracked.end(loop.time(), outcome, self.pace, self.random)
        self._queue.add_after(key, tracked.rest(loop.time(), self.pace, self.random))

    async def _reconciled(self, key: Key, tracked: Tracked) -> Outcome | None:
        """Give the outcome, None for a failure."""
        loop = asyncio.get_running_loop()
        began, name = loop.time(), "/".join(key)
        result, outcome, said = "error", None, ""
        try:
            outcome = await self._in_thread(f"the reconcile of {name}", self.reconcile, *key)
            result = "done"
        except ConflictError as error:
            result, said = "conflict", tracked.said
            log.debug("%s: %s", name, error)
        except OperatorError as error:
            said = str(error)
            log.log(logging.DEBUG if said == tracked.said else logging.WARNING, "%s: %s", name, said)
        except Exception:
            log.exception("%s: reconciling failed", name)
        if outcome is not None and tracked.said:
            log.info("%s: it can be reconciled again", name)
        tracked.said = said
        self._ended = loop.time()
        log.debug("%s: %s after %.4f s", name, result, self._ended - began)
        self.observe(result, self._ended - began)
        return outcome

    async def _in_thread(self, what: str, call: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        self._running[what] = loop.time()
        try:
            return await loop.run_in_executor(self.executor, call, *arguments)
        finally:
            del self._running[what]
