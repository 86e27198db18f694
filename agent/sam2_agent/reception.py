"""An agent that is called: it keeps the lease, and answers whoever comes in through its door."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import numpy as np
from numpy.typing import NDArray

from sam2_agent.answers import serverless
from sam2_agent.core.door import Door
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.patience import Patience
from sam2_agent.core.status import Status
from sam2_agent.core.tracking import ShapeType
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import GaveUp
from sam2_agent.world import World

BEAT_SECONDS = 10.0


class Reception:
    """Serves calls until told to stop; `decode` reads an encoded image."""

    def __init__(
        self,
        world: World,
        decode: Callable[[bytes], NDArray[np.uint8]],
        status: Status,
        shape_types: frozenset[ShapeType],
        patience: Patience,
    ) -> None:
        self._world = world
        self._status = status
        self._patience = patience
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._failure: GaveUp | None = None
        troubles = Troubles(status, world.events)
        self._keeper = LeaseKeeper(
            store=world.store,
            status=status,
            clock=world.clock,
            rng=world.rng,
            seconds=patience.lease,
            troubles=troubles,
            on_recorded=lambda _: None,
        )
        self.door = Door(
            serverless=serverless(
                tracker=world.tracker,
                compute=world.compute,
                records=world.store,
                clock=world.clock,
                events=world.events,
                rng=world.rng,
                decode=decode,
                shape_types=shape_types,
                patience=patience,
            ),
            compute=world.compute,
            keeper=self._keeper,
            clock=world.clock,
            status=status,
            events=world.events,
            troubles=troubles,
        )

    def stop(self) -> None:
        """Let nobody in any more, finish the call in hand, give the lease up, and let `run` return.

        Called again: leave the call to the successor, which is asked again.
        """
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    def fail(self, failure: GaveUp) -> None:
        """Let `run` raise what ends the agent."""
        self._failure = failure
        self._hurrying.set()
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped; raises the `GaveUp` with which the agent cannot go on."""
        self._status.phase = "WaitingForLease"
        beside = [asyncio.ensure_future(part) for part in (self._keeper.run(), self._beat())]
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({*beside, stopped}, return_when=asyncio.FIRST_COMPLETED)
            self._status.phase = "Draining"
            await self._first(self.door.closed(), self._hurrying.wait(), seconds=self._patience.drain)
        finally:
            for task in (*beside, stopped):
                task.cancel()
        for task in beside:
            if task.done() and not task.cancelled():
                task.result()
        await self._first(self._keeper.release(), seconds=self._patience.release)
        if self._failure:
            raise self._failure

    async def _beat(self) -> None:
        """Tell that the loop moves while nobody calls; a call in hand tells for itself."""
        while True:
            if not self.door.busy:
                self._status.moved()
            await self._world.clock.sleep(BEAT_SECONDS)

    async def _first(self, *parts: Coroutine[None, None, object], seconds: float) -> None:
        """Wait until one of these is done, at most that many seconds."""
        limited = [asyncio.ensure_future(part) for part in (*parts, self._world.clock.sleep(seconds))]
        await asyncio.wait(limited, return_when=asyncio.FIRST_COMPLETED)
        for task in limited:
            task.cancel()
