"""Working ahead: the next frame is computed before it is asked for, and nobody but the clock can tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random
from typing import Any, Literal, ParamSpec, TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core import spare_time
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Queue, Taken
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.status import Status
from sam2_agent.core.tracking import Context, Features
from sam2_agent.errors import CVATUnavailable, DeviceOutOfMemory, GaveUp
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

    `away` while CVAT serves none; `ends` while none seems to follow any.
    """

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.away = False
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
        if self.away:
            raise CVATUnavailable("Away.", reason="CVATUnreachable")
        return read(picture(task, frame))


class OneByOne(ToyTracker):
    """Takes one object at a time, and notes on which frame it computed; fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 1
        self.worked_on: list[bytes] = []
        self.fails: GaveUp | None = None

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
        toy = ToyTracker()
        return self.tracker.worked_on.count(toy.encode(toy.resize(picture(1, frame))).digest)

    async def idle(self) -> None:
        """Return when nothing moves any more."""
        for _ in range(1000):
            await asyncio.sleep(0)

    def close(self) -> None:
        self._answering.close()

    async def _answer(self, parameters: dict[str, Any]) -> dict[str, Any]:
        with self.spare.busy():
            return await self._answering.answer(f"request {parameters}", parameters, self._token)

    async def _compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self.let.acquire()
        self.calls += 1
        await asyncio.sleep(0)
        return function(*args, **kwargs)


async def _at_once(attempt: Callable[[], Reply]) -> Reply:
    return attempt()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


async def test_the_next_frame_is_computed_before_it_is_asked_for(bench: Bench) -> None:
    states = await bench.begin()
    for frame in (1, 2, 3):
        await bench.idle()
        assert bench.computed_on(frame) == OBJECTS
        calls = bench.calls
        states = (await bench.track(states, frame))["states"]
        assert bench.calls == calls, "an answer that was foreseen waits for no model"
    assert bench.metric("steps_foreseen") == 3 * OBJECTS


async def test_who_works_ahead_answers_as_one_who_does_not(bench: Bench) -> None:
    unhurried = Bench()
    unhurried.film.ends = True
    states = await bench.begin()
    assert states == await unhurried.begin()
    for frame in (1, 2, 3, 4, 7, 8, 9, 8, 7, 20, 21):
        await bench.idle()
        told = await bench.track(states, frame)
        assert told == await unhurried.track(states, frame)
        states = told["states"]
    assert bench.metric("steps_foreseen") > 0
    assert unhurried.metric("steps_foreseen") == 0


async def test_what_nobody_asked_for_is_published_nowhere(bench: Bench) -> None:
    states = await bench.begin()
    await bench.idle()
    assert len(bench.published()) == OBJECTS, "the prompts' steps"
    before = bench.published()
    await bench.track(states, 9)
    await bench.idle()
    assert len(bench.published() - before) == OBJECTS


async def test_frames_are_fetched_once_and_one_further(bench: Bench) -> None:
    states = await bench.begin()
    for frame in (1, 2, 3, 4, 7):
        await bench.idle()
        states = (await bench.track(states, frame))["states"]
    await bench.idle()
    assert bench.film.fetched == [0, 1, 2, 3, 4, 7, 8, 9], "deleted frames are passed over"


async def test_it_follows_an_annotator_who_goes_back(bench: Bench) -> None:
    states = await bench.begin(frame=20)
    for frame in (19, 18):
        states = (await bench.track(states, frame))["states"]
        await bench.idle()
    assert bench.computed_on(17) == OBJECTS


async def test_nothing_is_foreseen_beyond_the_last_frame(bench: Bench) -> None:
    states = await bench.begin(frame=FRAMES - 2)
    await bench.idle()
    await bench.track(states, FRAMES - 1)
    await bench.idle()
    assert bench.film.fetched == [FRAMES - 2, FRAMES - 1]


async def test_what_was_answered_before_is_not_computed_again(bench: Bench) -> None:
    states = await bench.begin()
    await bench.idle()
    first = await bench.track(states, 1)
    await bench.idle()
    await bench.track(first["states"], 2)
    await bench.idle()
    steps = bench.tracker.steps
    await bench.track(states, 1)
    await bench.idle()
    assert bench.tracker.steps == steps


async def test_a_request_that_comes_meanwhile_takes_what_is_done_and_computes_the_rest(bench: Bench) -> None:
    states = await bench.begin()
    bench.let = asyncio.Semaphore(2)  # the frame is encoded, and the first object found
    await bench.idle()
    asked = asyncio.ensure_future(bench.track(states, 1))
    await bench.idle()
    for _ in range(OBJECTS - 1):
        bench.let.release()
    await asked
    assert bench.computed_on(1) == OBJECTS
    assert bench.metric("steps_foreseen") == 2, "one that was done, and one that the model was at"


async def test_somebody_elses_request_goes_first(bench: Bench) -> None:
    states = await bench.begin()
    another = await bench.begin(frame=10, objects=8)
    await bench.idle()
    bench.let = asyncio.Semaphore(0)
    await bench.track(states, 1)  # foreseen, so that the model has all the time for frame 2
    await bench.idle()
    asked = asyncio.ensure_future(bench.track(another, 30))
    while not asked.done():
        bench.let.release()
        await bench.idle()
    assert (bench.computed_on(30), bench.computed_on(2)) == (8, 0)


async def test_an_answer_is_sent_before_anything_else_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spare_time, "HEAD_START", 3600.0)
    sent = asyncio.Event()

    async def send() -> None:
        await sent.wait()

    async def serve() -> None:
        with bench.spare.busy():
            await bench.begin()
            sending = await spare_time.begin(send())
        await sending

    serving = asyncio.ensure_future(serve())
    await bench.idle()
    assert (bench.film.fetched, bench.computed_on(1)) == ([0, 1], 0)
    sent.set()
    await serving
    await bench.idle()
    assert (bench.film.fetched, bench.computed_on(1)) == ([0, 1, 2], OBJECTS)


async def test_an_answer_that_takes_long_to_arrive_keeps_nobody_from_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spare_time, "HEAD_START", 0.0)
    sending = await spare_time.begin(asyncio.sleep(3600.0))
    assert not sending.done()
    sending.cancel()


async def test_a_frame_that_cvat_did_not_serve_then_is_fetched_when_it_is_asked_for(bench: Bench) -> None:
    states = await bench.begin()
    bench.film.away = True
    await bench.idle()
    bench.film.away = False
    answer = await bench.track(states, 1)
    assert len(answer["states"]) == OBJECTS


async def test_a_full_device_is_told_to_nobody_who_did_not_ask(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    states = await bench.begin()
    writing = asyncio.ensure_future(bench.behind.run())
    bench.tracker.fails = DeviceOutOfMemory("The memory is full.")
    await bench.idle()
    assert "bug" not in caplog.text
    with pytest.raises(DeviceOutOfMemory):
        await bench.track(states, 1)
    bench.tracker.fails = None
    assert len((await bench.track(states, 1))["states"]) == OBJECTS
    writing.cancel()
