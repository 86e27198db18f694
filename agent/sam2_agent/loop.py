"""The agent's loop.

Four things run at once: the lease is kept, the queue is watched, memories are written behind, and requests
are taken (`core.intake`) and brought to their end (`core.serving`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from sam2_agent.core.answering import Answering
from sam2_agent.core.backoff import Backoff
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.footage import Footage
from sam2_agent.core.foresight import Foresight
from sam2_agent.core.intake import Intake
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.patience import Patience
from sam2_agent.core.recent import Recent
from sam2_agent.core.second_chance import SecondChance
from sam2_agent.core.serving import Serving
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.status import Status
from sam2_agent.core.stepping import Stepping
from sam2_agent.core.survivors import Survivors
from sam2_agent.core.tracking import ShapeType
from sam2_agent.core.tracks import Tracks
from sam2_agent.core.troubles import Troubles
from sam2_agent.core.watched import Watched
from sam2_agent.errors import GaveUp, Unavailable
from sam2_agent.world import QueueWorld

log = logging.getLogger(__name__)


class Agent:
    """Serves one function's queue until told to stop; `shape_types` are those that the function declares."""

    def __init__(
        self, world: QueueWorld, status: Status, shape_types: frozenset[ShapeType], patience: Patience
    ) -> None:
        self._world = world = replace(world, compute=Watched(world.compute, status))
        self._status = status
        self._patience = patience
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._failures: asyncio.Queue[GaveUp] = asyncio.Queue()
        self._troubles = Troubles(status, world.events)
        spare = SpareTime()
        self._behind = WriteBehind(world.store, world.tracker, world.apart, world.events)
        self._keeper = LeaseKeeper(
            store=world.store,
            status=status,
            clock=world.clock,
            rng=world.rng,
            seconds=patience.lease,
            troubles=self._troubles,
            on_recorded=self._look_into_inbox,
        )
        self._answering = _answering(world, self._behind, spare, shape_types, patience)
        self._intake = Intake(
            queue=world.queue,
            store=world.store,
            serving=Serving(
                queue=world.queue,
                store=world.store,
                answering=self._answering,
                spare=spare,
                keeper=self._keeper,
                status=status,
                clock=world.clock,
                rng=world.rng,
                events=world.events,
                troubles=self._troubles,
                patience=patience,
                stopping=self._stopping,
            ),
            keeper=self._keeper,
            status=status,
            clock=world.clock,
            rng=world.rng,
            events=world.events,
            troubles=self._troubles,
            patience=patience,
            stopping=self._stopping,
        )

    def stop(self) -> None:
        """Finish the requests in hand, give the lease up, and let `run` return.

        Called again: leave them to the successor.
        """
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()
        self._intake.stop()

    def fail(self, failure: GaveUp) -> None:
        """Let `run` raise what ends the agent."""
        self._failures.put_nowait(failure)

    async def run(self) -> None:
        """Serve until stopped; raises an exception group with a `GaveUp` where the agent cannot go on."""
        self._status.phase = "WaitingForLease"
        try:
            await self._serve_until_stopped()
        except* GaveUp:
            await self._release()
            raise
        finally:
            self._answering.close()
        await self._release()

    async def _release(self) -> None:
        """Give the lease up, unless Redis is so slow that it has to expire."""
        releasing = asyncio.ensure_future(self._keeper.release())
        limit = asyncio.ensure_future(self._world.clock.sleep(self._patience.release))
        await asyncio.wait({releasing, limit}, return_when=asyncio.FIRST_COMPLETED)
        for task in (releasing, limit):
            task.cancel()

    async def _serve_until_stopped(self) -> None:
        async with asyncio.TaskGroup() as group:
            parts = (
                self._keeper.run(),
                self._watch(),
                self._behind.run(),
                self._answering.watch(),
                self._failed(),
            )
            beside = [group.create_task(part) for part in parts]
            worker = group.create_task(self._intake.run())
            await self._stopping.wait()
            self._status.phase = "Draining"
            await self._drain(worker)
            for task in beside:
                task.cancel()

    async def _drain(self, worker: asyncio.Task[None]) -> None:
        """Let the requests in hand and the memories waiting go on for a while; what is left is recorded."""
        limits = {
            asyncio.ensure_future(self._world.clock.sleep(self._patience.drain)),
            asyncio.ensure_future(self._hurrying.wait()),
        }
        await asyncio.wait({worker, *limits}, return_when=asyncio.FIRST_COMPLETED)
        flushed = asyncio.ensure_future(self._behind.flushed())
        await asyncio.wait({flushed, *limits}, return_when=asyncio.FIRST_COMPLETED)
        for task in (worker, flushed, *limits):
            task.cancel()

    async def _failed(self) -> None:
        raise await self._failures.get()

    def _look_into_inbox(self, recorded: int | None) -> None:
        self._intake.look_into_inbox(recorded)

    async def _watch(self) -> None:
        """Let events wake the worker; they only save time, for it asks anyway."""
        backoff = Backoff(self._world.rng, shortest=0.5, longest=30.0)
        while True:
            opened_at = self._world.clock.now()
            asked: float | None = None
            try:
                await self._world.queue.watch(self._intake.wake)
            except Unavailable as trouble:
                self._troubles.note(trouble)
                asked = trouble.retry_after
            if self._world.clock.now() - opened_at > self._patience.poll:
                backoff.reset()
            await self._world.clock.sleep(backoff.next(asked))


def _answering(
    world: QueueWorld,
    behind: WriteBehind,
    spare: SpareTime,
    shape_types: frozenset[ShapeType],
    patience: Patience,
) -> Answering:
    recent = Recent()
    compute = SecondChance(world.compute, recent)
    footage = Footage(world.frames, world.tracker, compute, recent)
    stepping = Stepping(
        tracker=world.tracker, compute=compute, pictures=footage, recent=recent, events=world.events
    )
    survivors = Survivors(
        tracker=world.tracker, compute=compute, store=world.store, recent=recent, events=world.events
    )
    tracks = Tracks(
        stepping=stepping,
        survivors=survivors,
        store=world.store,
        keeping=behind,
        recent=recent,
        clock=world.clock,
        events=world.events,
        patience=patience.restore,
    )
    foresight = Foresight(
        stepping=stepping,
        survivors=survivors,
        footage=footage,
        frames=world.frames,
        spare=spare,
        fingerprint=world.tracker.fingerprint,
    )
    return Answering(
        tracks=tracks,
        footage=footage,
        foresight=foresight,
        frames=world.frames,
        store=world.store,
        apart=world.apart,
        events=world.events,
        rng=world.rng,
        fingerprint=world.tracker.fingerprint,
        shape_types=shape_types,
    )
