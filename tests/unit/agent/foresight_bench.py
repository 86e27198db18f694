"""An agent without its loop, with a film and a model that computes when it is let."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Literal, ParamSpec, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Publication, Queue, Taken
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.status import Status
from sam2_agent.core.tracking import Context, Features, Resized
from sam2_agent.errors import CVATUnavailable, GaveUp
from sam2_agent.loop import _answering
from sam2_agent.world import QueueWorld
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.redis.replies import Reply
from tests.simulation.tasks import picture
from tests.toy_tracker import ToyFeatures, ToyOutput, ToyTracker

P = ParamSpec("P")
T = TypeVar("T")

OBJECTS = 3
FRAMES = 40
DELETED = (5, 6)


class Film:
    """The frames of a task of which some are deleted.

    `away` while CVAT serves none, `at_once` unless it lets all wait; `ends` while none seems to follow any.
    """

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.away = False
        self.at_once = asyncio.Event()
        self.at_once.set()
        self.ends = False

    async def count(self, _task: int, _frame: int) -> int:
        return FRAMES

    def beside(self, _task: int, frame: int, way: Literal[1, -1]) -> int | None:
        frame += way
        while frame in DELETED:
            frame += way
        return frame if 0 <= frame < FRAMES and not self.ends else None

    async def image(self, task: int, frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        self.fetched.append(frame)
        await self.at_once.wait()
        if self.away:
            raise CVATUnavailable("Away.", reason="CVATUnreachable")
        return read(picture(task, frame))


class OneByOne(ToyTracker):
    """Takes one object at a time, and notes on which frame it computed; fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 1
        self.worked_on: list[bytes] = []
        self.encoded_frames: set[bytes] = set()
        self.fails: GaveUp | None = None

    def encode(self, image: Resized) -> ToyFeatures:
        features = super().encode(image)
        self.encoded_frames.add(features.digest)
        return features

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        if self.fails:
            raise self.fails
        assert isinstance(features, ToyFeatures)
        self.worked_on += [features.digest] * len(contexts)
        return super().step(features, contexts)


class Bench:
    """An agent without its loop, with a model that computes when it is let."""

    def __init__(self) -> None:
        self.server = SimRedis(lambda: 0.0)
        self.film = Film()
        self.tracker = OneByOne()
        self.metrics = Metrics(Status("test", BootClock()))
        self.calls = 0
        """How often the model was called."""
        self.let = asyncio.Semaphore(10_000)
        self.store = RedisStore(
            SimRedisClient(self.server, _at_once),
            prefix="s2t:{u}:",
            holder="pod",
            state_seconds=100,
            memory_seconds=100,
            on_answer=lambda: None,
        )
        world = QueueWorld(
            tracker=self.tracker,
            compute=self._compute,
            apart=self._compute,
            queue=cast("Queue", None),
            frames=self.film,
            store=self.store,
            clock=BootClock(),
            rng=Random(1),
            events=self.metrics,
        )
        self.spare = SpareTime()
        self.behind = WriteBehind(self.store, self.tracker, self._compute, self.metrics)
        self._answering = _answering(world, self.behind, self.spare, frozenset({"rectangle"}), Patience())
        self._token = ""

    async def begin(self, frame: int = 0, objects: int = OBJECTS) -> list[str]:
        if not self._token:
            taken = await self.store.take("1" * 32, 10)
            assert isinstance(taken, Taken)
            self._token = taken.token
        shapes = [{"type": "rectangle", "points": [1.0 + place, 2.0, 20.0, 9.0]} for place in range(objects)]
        answer = await self._answer({"type": "init_tracking", "task": 1, "frame": frame, "shapes": shapes})
        return cast("list[str]", answer["states"])

    async def track(self, states: Sequence[str], frame: int) -> dict[str, Any]:
        return await self._answer({"type": "track", "task": 1, "frame": frame, "states": list(states)})

    def published(self) -> set[bytes]:
        return {key for key in self.server.keys if b"answer:" in key}

    def metric(self, name: str) -> float:
        return self.metrics.registry.get_sample_value(f"sam2_agent_{name}_total") or 0.0

    def computed_on(self, frame: int) -> int:
        """For how many objects the model computed on a frame, prompts left out."""
        return self.tracker.worked_on.count(self.digest(frame))

    def digest(self, frame: int) -> bytes:
        """What the model knows a frame by."""
        toy = ToyTracker()
        return toy.encode(toy.resize(picture(1, frame))).digest

    def hold_publications(self) -> asyncio.Event:
        """Have answers published only when the event is set."""
        held = asyncio.Event()
        publish = self.store.publish

        async def later(token: str, publications: Sequence[Publication]) -> list[bytes]:
            await held.wait()
            return await publish(token, publications)

        self.store.publish = later  # type: ignore[method-assign]
        return held

    async def idle(self) -> None:
        """Return when nothing moves any more."""
        for _ in range(1000):
            await asyncio.sleep(0)

    def close(self) -> None:
        self._answering.close()

    async def _answer(self, parameters: dict[str, Any]) -> dict[str, Any]:
        with self.spare.busy() as computed:
            return await self._answering.answer(f"request {parameters}", parameters, self._token, computed)

    async def _compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self.let.acquire()
        self.calls += 1
        await asyncio.sleep(0)
        return function(*args, **kwargs)


async def _at_once(attempt: Callable[[], Reply]) -> Reply:
    return attempt()
