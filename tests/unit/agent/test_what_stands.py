"""What stands in Redis is told, also where it appeared while this agent computed something else.

That happens when a write arrives late: after the agent gave up on it and began to compute again.  Here a twin
with the same lease plays the late write.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal, ParamSpec, TypeVar, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.core import records
from sam2_agent.core.answering import Answering
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Queue, Taken
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.status import Status
from sam2_agent.loop import _answering
from sam2_agent.world import QueueWorld
from tests.simulation.models import JitteryTracker
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.redis.replies import Reply
from tests.simulation.tasks import FRAMES, picture

P = ParamSpec("P")
T = TypeVar("T")

BEGIN: dict[str, Any] = {
    "type": "init_tracking",
    "task": 1,
    "frame": 0,
    "shapes": [{"type": "rectangle", "points": [2.0, 2.0, 9.0, 9.0]}] * 2,
}


class Film:
    """The frames of a task."""

    async def count(self, task: int, frame: int) -> int:
        assert frame < FRAMES[task]
        return FRAMES[task]

    def beside(self, task: int, frame: int, way: Literal[1, -1]) -> int | None:
        return frame + way if 0 <= frame + way < FRAMES[task] else None

    async def image(self, task: int, frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        return read(picture(task, frame))


class One:
    """An agent without its loop; its model never gives the same answer twice."""

    def __init__(self, server: SimRedis, seed: int) -> None:
        events = Metrics(Status("test", BootClock()))
        store = RedisStore(
            SimRedisClient(server, _at_once),
            prefix="s2t:{u}:",
            holder="pod",
            state_seconds=100,
            memory_seconds=100,
            on_answer=lambda: None,
        )
        tracker = JitteryTracker(Random(seed), {})
        world = QueueWorld(
            tracker=tracker,
            compute=self._compute,
            apart=self._compute,
            queue=cast("Queue", None),
            frames=Film(),
            store=store,
            clock=BootClock(),
            rng=Random(seed),
            events=events,
        )
        spare = SpareTime()
        behind = WriteBehind(store, tracker, self._compute, events)
        self.store = store
        self.meanwhile: tuple[str, Callable[[], Awaitable[object]]] | None = None
        self._answering: Answering = _answering(world, behind, spare, frozenset({"rectangle"}), Patience())

    async def answer(self, parameters: dict[str, Any], token: str) -> dict[str, Any]:
        """Answer a request."""
        return await self._answering.answer("request", parameters, token)

    async def _compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the model; before the function named in `meanwhile` returns, something else happens."""
        result = function(*args, **kwargs)
        if self.meanwhile and getattr(function, "__name__", "") == self.meanwhile[0]:
            _, happens = self.meanwhile
            self.meanwhile = None
            await happens()
        return result


async def _at_once(attempt: Callable[[], Reply]) -> Reply:
    return attempt()


@pytest.fixture
def twins() -> tuple[One, One]:
    server = SimRedis(lambda: 0.0)
    return One(server, 1), One(server, 2)


async def token(agent: One) -> str:
    """Take the lease for both."""
    taken = await agent.store.take("1" * 32, 10)
    assert isinstance(taken, Taken)
    return taken.token


async def test_the_answers_told_are_those_that_stand(twins: tuple[One, One]) -> None:
    agent, twin = twins
    lease = await token(agent)
    states = (await agent.answer(BEGIN, lease))["states"]
    track = {"type": "track", "task": 1, "frame": 1, "states": states}
    twins_answers: list[dict[str, Any]] = []

    async def late() -> None:
        twins_answers.append(await twin.answer(track, lease))

    agent.meanwhile = ("_run", late)
    told = await agent.answer(track, lease)
    assert [told] == twins_answers
    assert None not in told["shapes"]
    following = {"type": "track", "task": 1, "frame": 2, "states": told["states"]}
    assert await agent.answer(following, lease) == await twin.answer(following, lease)


async def test_the_states_told_by_an_init_are_those_that_stand(twins: tuple[One, One]) -> None:
    agent, twin = twins
    lease = await token(agent)
    twins_answers: list[dict[str, Any]] = []

    async def late() -> None:
        twins_answers.append(await twin.answer(BEGIN, lease))

    agent.meanwhile = ("encode", late)
    assert [await agent.answer(BEGIN, lease)] == twins_answers


async def test_an_answer_that_its_own_agent_cannot_read_is_not_computed_for_ever(
    twins: tuple[One, One], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, _ = twins
    lease = await token(agent)
    states = (await agent.answer(BEGIN, lease))["states"]
    monkeypatch.setattr(records, "MAX_POINTS_BYTES", 4)
    with pytest.raises(ValueError, match="cannot read an answer that it wrote"):
        await agent.answer({"type": "track", "task": 1, "frame": 1, "states": states}, lease)
