"""The agent in a thread of the test: real CVAT client, real Redis, a toy for a tracker."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sam2_agent.adapters.call_threads import CallThreads
from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_frames import CVATFrames
from sam2_agent.adapters.cvat_queue import CVATQueue
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.adapters.single_thread import SingleThread
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Clock
from sam2_agent.core.status import Status
from sam2_agent.loop import Agent
from sam2_agent.world import QueueWorld
from tests.integration.agent.agent_process import PREFIX
from tests.toy_tracker import ToyTracker


class InProcessAgent:
    """An agent that a test starts, watches and stops."""

    def __init__(
        self,
        *,
        cvat_url: str,
        credentials: Path,
        function: int,
        redis_url: str,
        holder: str = "pod-a",
        patience: Patience | None = None,
        redis_seconds: float = 10.0,
        silence: float = 20.0,
        clock: Clock | None = None,
        tracker: ToyTracker | None = None,
    ) -> None:
        self.clock = clock or BootClock()
        self.status = Status("test", self.clock)
        self.metrics = Metrics(self.status)
        self.tracker = tracker or ToyTracker()
        self._patience = patience or Patience(lease=3.0, poll=1.0, request=5.0, drain=5.0)
        self._holder = holder
        self._redis_url = redis_url
        self._redis_seconds = redis_seconds
        self._client = CVATClient(
            cvat_url,
            credentials_dir=credentials,
            organization="",
            ca_file=None,
            on_answer=lambda: self.status.answered("CVAT"),
            silence=silence,
        )
        self._function = function
        self._ready = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name=f"agent {holder}", daemon=True)

    def start(self) -> InProcessAgent:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def wait_ready(self) -> InProcessAgent:
        self.wait_for(lambda: self.status.report().ready)
        return self

    def stop(self) -> None:
        """Stop as SIGTERM does, and wait; raises whatever the agent died of."""
        self._stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._failure:
            raise self._failure

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._failure is None, self._failure
            assert time.monotonic() < deadline, self.status.report()
            time.sleep(0.01)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sam2_agent_{name}", labels) or 0.0

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001  (the test's thread raises it)
            self._failure = error

    async def _run(self) -> None:
        asyncio.get_running_loop().set_default_executor(CallThreads())
        compute, apart = SingleThread("model"), SingleThread("apart")
        store = RedisStore(
            connect(self._redis_url, None, answer_seconds=self._redis_seconds),
            prefix=PREFIX,
            holder=self._holder,
            state_seconds=1000,
            memory_seconds=1000,
            on_answer=lambda: self.status.answered("Redis"),
            on_dropped=self.metrics.memories_dropped,
        )
        world = QueueWorld(
            tracker=self.tracker,
            compute=compute,
            apart=apart,
            queue=CVATQueue(self._client, self._function, "s2t_test"),
            frames=CVATFrames(self._client),
            store=store,
            clock=self.clock,
            rng=random.SystemRandom(),
            events=self.metrics,
        )
        agent = Agent(world, self.status, frozenset({"mask", "polygon", "rectangle"}), self._patience)
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.is_closed() or loop.call_soon_threadsafe(agent.stop)
        self._ready.set()
        try:
            await agent.run()
        finally:
            await store.close()
            compute.close()
            apart.close()
