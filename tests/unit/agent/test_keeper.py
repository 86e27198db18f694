"""What the lease's keeper tells whoever wants to act."""

from __future__ import annotations

import asyncio
import traceback
from random import Random
from typing import cast

import pytest

from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.lease import Lease
from sam2_agent.core.ports import Clock, Events, Store, Taken
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import LeaseLost, StoreUnavailable


class Clock100:
    """It is always 100."""

    def now(self) -> float:
        return 100.0


class SlowStore:
    """Gives the lease when told to, and notes what is released."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.gives = asyncio.Event()
        self.released: list[str] = []

    async def take(self, nonce: str, _seconds: float) -> Taken:
        self.asked.set()
        await self.gives.wait()
        return Taken(nonce, 1)

    async def release(self, token: str) -> None:
        self.released.append(token)


def keeper(status: Status, store: SlowStore | None = None) -> LeaseKeeper:
    return LeaseKeeper(
        store=cast("Store", store),
        status=status,
        clock=status.clock,
        rng=Random(0),
        seconds=15.0,
        troubles=Troubles(status, cast("Events", None)),
        on_recorded=lambda _: None,
    )


@pytest.fixture
def status() -> Status:
    return Status("test", cast("Clock", Clock100()))


def test_the_token_is_told_only_while_the_lease_is_held(status: Status) -> None:
    status.lease = Lease("token", 1, 100.5)
    assert keeper(status).token() == "token"
    status.lease = Lease("token", 1, 100.0)
    with pytest.raises(LeaseLost):
        keeper(status).token()


def test_asking_again_and_again_while_redis_is_away_piles_nothing_up(status: Status) -> None:
    status.trouble("Redis", StoreUnavailable("Away.", reason="RedisUnreachable"))

    def frames() -> int:
        with pytest.raises(StoreUnavailable) as raised:
            keeper(status).token()
        return len(traceback.extract_tb(raised.value.__traceback__))

    once = frames()
    assert [frames() for _ in range(5)] == [once] * 5


async def test_a_lease_that_is_being_taken_when_the_agent_stops_is_given_up_too(status: Status) -> None:
    store = SlowStore()
    stopping = keeper(status, store)
    running = asyncio.create_task(stopping.run())
    await store.asked.wait()
    running.cancel()
    releasing = asyncio.create_task(stopping.release())
    store.gives.set()
    await releasing
    [token] = store.released
    assert len(token) == 32


def test_only_the_lease_with_which_something_was_refused_is_doubted(status: Status) -> None:
    """Of two requests that were refused with an old lease the second must not cost the new one."""
    doubting = keeper(status)
    status.lease = Lease("second", 2, expires=110.0)
    doubting.doubt("first")
    assert status.lease_held()
    doubting.doubt("second")
    assert not status.lease_held()
