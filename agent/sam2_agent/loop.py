"""The agent's loop.

Four things run at once: the lease is kept, the queue is watched, memories are written behind, and one worker
takes a request after the other, interactive ones first, and brings it to its end (`core.serving`).

What is recorded in Redis is also the inbox: there the holder of the lease finds what a predecessor left, and
what reached an agent without the lease.
"""

from __future__ import annotations

import asyncio
import logging

from sam2_agent.core.alarm import Alarm
from sam2_agent.core.answering import Answering
from sam2_agent.core.backoff import Backoff
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.footage import Footage
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.patience import Patience
from sam2_agent.core.recent import Recent
from sam2_agent.core.requests import CATEGORIES, Category, Recorded
from sam2_agent.core.second_chance import SecondChance
from sam2_agent.core.serving import Serving
from sam2_agent.core.shapes import ShapeType
from sam2_agent.core.status import Status
from sam2_agent.core.tracks import Tracks
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import DamagedRecord, GaveUp, LeaseLost, Unavailable
from sam2_agent.world import QueueWorld

log = logging.getLogger(__name__)


class Agent:
    """Serves one function's queue until told to stop; `shape_types` are those that the function declares."""

    def __init__(
        self, world: QueueWorld, status: Status, shape_types: frozenset[ShapeType], patience: Patience
    ) -> None:
        self._world = world
        self._status = status
        self._patience = patience
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._troubles = Troubles(status, world.events)
        self._behind = WriteBehind(world.store, world.tracker, world.compute, world.events)
        self._keeper = LeaseKeeper(
            store=world.store,
            status=status,
            clock=world.clock,
            rng=world.rng,
            seconds=patience.lease,
            troubles=self._troubles,
            on_recorded=self._look_into_inbox,
        )
        self._serving = Serving(
            queue=world.queue,
            store=world.store,
            answering=_answering(world, self._behind, shape_types, patience),
            keeper=self._keeper,
            status=status,
            clock=world.clock,
            rng=world.rng,
            events=world.events,
            troubles=self._troubles,
            patience=patience,
            stopping=self._stopping,
        )
        self._work = Alarm(world.clock)
        self._maybe: set[Category] = set(CATEGORIES)
        self._ask_at = world.clock.now()
        self._inbox = False

    def stop(self) -> None:
        """Finish the request in hand, give the lease up, and let `run` return.

        Called again: leave the request to the successor.
        """
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()
        self._work.ring()

    async def run(self) -> None:
        """Serve until stopped; raises an exception group with a `GaveUp` where the agent cannot go on."""
        self._status.phase = "WaitingForLease"
        try:
            await self._serve_until_stopped()
        except* GaveUp:
            await self._release()
            raise
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
            beside = [
                group.create_task(part) for part in (self._keeper.run(), self._watch(), self._behind.run())
            ]
            worker = group.create_task(self._serve_all())
            await self._stopping.wait()
            self._status.phase = "Draining"
            await self._drain(worker)
            for task in beside:
                task.cancel()

    async def _drain(self, worker: asyncio.Task[None]) -> None:
        """Let the request in hand and the memories waiting go on for a while; what is left is recorded."""
        limits = {
            asyncio.ensure_future(self._world.clock.sleep(self._patience.drain)),
            asyncio.ensure_future(self._hurrying.wait()),
        }
        await asyncio.wait({worker, *limits}, return_when=asyncio.FIRST_COMPLETED)
        flushed = asyncio.ensure_future(self._behind.flushed())
        await asyncio.wait({flushed, *limits}, return_when=asyncio.FIRST_COMPLETED)
        for task in (worker, flushed, *limits):
            task.cancel()

    async def _watch(self) -> None:
        """Let events wake the worker; they only save time, for it asks anyway."""
        backoff = Backoff(self._world.rng, shortest=0.5, longest=30.0)
        while True:
            opened_at = self._world.clock.now()
            asked: float | None = None
            try:
                await self._world.queue.watch(self._wake)
            except Unavailable as trouble:
                self._troubles.note(trouble)
                asked = trouble.retry_after
            if self._world.clock.now() - opened_at > self._patience.poll:
                backoff.reset()
            await self._world.clock.sleep(backoff.next(asked))

    def _wake(self, category: Category | None) -> None:
        self._maybe.update(CATEGORIES if category is None else (category,))
        self._work.ring()

    async def _serve_all(self) -> None:
        """Serve one request after the other until told to stop."""
        backoff = Backoff(self._world.rng)
        while not self._stopping.is_set():
            self._status.moved()
            try:
                self._keeper.token()
                if not await self._serve_next():
                    await self._idle()
                backoff.reset()
                self._status.unhindered()
            except LeaseLost:
                self._status.unhindered()
                await self._work.wait(self._patience.poll)
            except Unavailable as trouble:
                self._troubles.note(trouble)
                self._status.hindered(trouble)
                await self._serving.pause(backoff.next(trouble.retry_after))

    async def _idle(self) -> None:
        """Wait for an event, or until the queue has to be asked without one."""
        await self._work.wait(max(0.0, self._ask_at - self._world.clock.now()))
        if self._world.clock.now() >= self._ask_at:
            self._maybe.update(CATEGORIES)
            self._ask_at = self._world.clock.now() + self._patience.poll

    def _look_into_inbox(self, recorded: int | None) -> None:
        """Wake the worker where more requests are recorded, or were left, than it has in hand."""
        if recorded is None or max(recorded, self._serving.begun) > self._serving.in_hand:
            self._inbox = True
            self._work.ring()

    async def _serve_next(self) -> bool:
        """Serve what is in the inbox, or else the next request of the queue; return whether there was one."""
        if self._inbox:
            self._inbox = False
            return await self._serve_inbox()
        for category in CATEGORIES:
            if category not in self._maybe:
                continue
            self._maybe.discard(category)  # before asking: an event that comes meanwhile is not lost
            try:
                assignment = await self._world.queue.acquire(category)
            except Unavailable:
                self._maybe.add(category)
                raise
            if assignment is not None:
                self._maybe.add(category)
                await self._serving.serve(Recorded(assignment=assignment, attempts=1))
                return True
        return False

    async def _serve_inbox(self) -> bool:
        """Finish what a predecessor, or an agent without the lease, recorded, and what was left here."""
        try:
            recorded = await self._world.store.recorded()
        except Unavailable:
            self._inbox = True
            raise
        for ar_id, data in recorded.items():
            if self._stopping.is_set():
                break
            try:
                request = Recorded.load(data, ar_id)
            except DamagedRecord:
                self._world.events.damaged("request")
                await self._world.store.forget_damaged(ar_id, data)
                continue
            await self._serving.serve_recorded(request)
        for request in (left := self._serving.left(besides=recorded)):
            if not self._stopping.is_set():
                await self._serving.serve(request)
        return bool(recorded or left)


def _answering(
    world: QueueWorld, behind: WriteBehind, shape_types: frozenset[ShapeType], patience: Patience
) -> Answering:
    recent = Recent()
    compute = SecondChance(world.compute, recent)
    footage = Footage(world.frames, world.tracker, compute, recent)
    tracks = Tracks(
        tracker=world.tracker,
        compute=compute,
        pictures=footage,
        store=world.store,
        keeping=behind,
        recent=recent,
        clock=world.clock,
        events=world.events,
        patience=patience.restore,
    )
    return Answering(
        tracks=tracks,
        footage=footage,
        frames=world.frames,
        store=world.store,
        compute=world.compute,
        events=world.events,
        rng=world.rng,
        fingerprint=world.tracker.fingerprint,
        shape_types=shape_types,
    )
