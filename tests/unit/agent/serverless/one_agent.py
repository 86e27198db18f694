"""An agent without its loop and its door, beside a simulated Redis."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.answers import serverless
from sam2_agent.core import calls
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Taken
from sam2_agent.core.status import Status
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.redis.replies import Reply
from tests.toy_tracker import ToyTracker

P = ParamSpec("P")
T = TypeVar("T")
Image = NDArray[np.uint8]

BOX = {"type": "rectangle", "points": [2.0, 2.0, 9.0, 9.0]}
OTHER = {"type": "mask", "points": [1.0, 5.0, 2.0, 4.0, 12.0, 4.0, 15.0, 6.0]}


def picture(number: int) -> bytes:
    """An image, encoded as `decode` reads it."""
    return f"picture {number}".encode()


def decode(data: bytes) -> Image:
    """The pixels of such an image."""
    seed = int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
    return np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)


async def at_once(attempt: Callable[[], Reply]) -> Reply:
    """Let the simulated Redis answer."""
    return attempt()


class One:
    """An agent without its loop."""

    def __init__(self, server: SimRedis, seed: int = 1, decode: Callable[[bytes], Image] = decode) -> None:
        self.tracker = ToyTracker()
        self.store = RedisStore(
            SimRedisClient(server, at_once),
            prefix="s2t:{u}:",
            holder="pod",
            state_seconds=100,
            memory_seconds=100,
            on_answer=lambda: None,
            memories_are_cache=False,
        )
        self._serverless = serverless(
            tracker=self.tracker,
            compute=_compute,
            records=self.store,
            clock=BootClock(),
            events=Metrics(Status("test", BootClock())),
            rng=Random(seed),
            decode=decode,
            shape_types=frozenset({"mask", "polygon", "rectangle"}),
            patience=Patience(),
        )

    async def call(self, number: int, *, shapes: list[Any] = [], states: list[Any] = []) -> dict[str, Any]:  # noqa: B006
        """Answer as CVAT calls."""
        taken = await self.store.take("1" * 32, 10)
        assert isinstance(taken, Taken)
        body = {"image": base64.b64encode(picture(number)).decode(), "shapes": shapes, "states": states}
        return await self._serverless.answer(calls.parse(json.dumps(body).encode()), taken.token)


async def _compute(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)
