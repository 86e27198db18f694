"""The life of a request, and what goes on beside it.

Four things run at once: the lease is kept, the queue is watched, memories are written behind, and one worker
takes a request after the other, interactive ones first.  For each:

    acquire        CVAT hands a request to this agent's id
    record         it is noted in Redis; from here on a successor finishes it if this agent dies
    answer         what stands is taken, what is missing is computed and published (`core.answering`,
    `core.tracks`) lease held?    if not, the request is left where it is recorded, for whoever holds the
    lease complete       or fail, with a sentence for the annotator forget         the record is dropped, once
    CVAT took the answer or said that the request is no longer ours

What is recorded is also the inbox: a request that reached an agent without the lease is found there by the
holder. Every line may be repeated, so after any failure the request begins anew at the first one that was not
reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from pydantic import JsonValue

from sam2_agent.core.alarm import Alarm
from sam2_agent.core.answering import Answering
from sam2_agent.core.backoff import Backoff
from sam2_agent.core.behind import WriteBehind
from sam2_agent.core.footage import Footage
from sam2_agent.core.lease import Lease, look_again_after, renew_after
from sam2_agent.core.ports import Clock, Compute, Events, Frames, HeldByAnother, Queue, Store
from sam2_agent.core.recent import Recent
from sam2_agent.core.requests import CATEGORIES, Category, Recorded, describe
from sam2_agent.core.shapes import ShapeType
from sam2_agent.core.status import Peer, Status
from sam2_agent.core.tracking import Tracker
from sam2_agent.core.tracks import Tracks
from sam2_agent.errors import (
    AnswerRefused,
    CVATUnavailable,
    DamagedRecord,
    GaveUp,
    LeaseLost,
    NotOurs,
    RequestRefused,
    Unavailable,
)

log = logging.getLogger(__name__)


class Meter(Events, Protocol):
    """What is counted; nothing depends on it."""

    def request(self, kind: str, outcome: str, seconds: float) -> None:
        """A request ended for this agent."""

    def unavailable(self, reason: str) -> None:
        """CVAT or Redis did not do what it was asked."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds, and how often they may be tried."""

    lease: float = 15.0
    poll: float = 10.0
    """The queue is asked so often even when no event came."""
    request: float = 120.0
    """After so long without CVAT's frames or Redis an annotator is told instead of kept waiting."""
    drain: float = 20.0
    """How long the request in hand may go on after the agent was told to stop."""
    restore: float = 45.0
    """How long one request may restore tracks: below the minute after which proxies give up."""
    attempts: int = 5
    """A request during which so many agents died is failed: it may be what kills them."""


@dataclass(frozen=True, slots=True)
class World:
    """What the agent is given: real in `__main__`, with virtual time and faults in a simulation."""

    tracker: Tracker
    compute: Compute
    queue: Queue
    frames: Frames
    store: Store
    clock: Clock
    rng: Random
    meter: Meter


class Agent:
    """Serves one function's queue until told to stop; `shape_types` are those that the function declares."""

    def __init__(
        self, world: World, status: Status, shape_types: frozenset[ShapeType], patience: Patience
    ) -> None:
        self._queue = world.queue
        self._store = world.store
        self._clock = world.clock
        self._rng = world.rng
        self._meter = world.meter
        self._status = status
        self._patience = patience
        self._behind = WriteBehind(world.store, world.tracker, world.compute, world.meter)
        self._answering = _answering(world, self._behind, shape_types, patience)
        self._stopping = asyncio.Event()
        self._work = Alarm(world.clock)
        self._doubt = Alarm(world.clock)
        self._maybe: set[Category] = set(CATEGORIES)
        self._ask_at = world.clock.now()
        self._inbox = False
        self._in_hand = 0
        self._begun: set[str] = set()

    def stop(self) -> None:
        """Finish the request in hand, give the lease up, and let `run` return."""
        self._stopping.set()
        self._work.ring()
        self._doubt.ring()

    async def run(self) -> None:
        """Serve until stopped; raises an exception group with a `GaveUp` where the agent cannot go on."""
        self._status.phase = "WaitingForLease"
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(part) for part in (self._keep_lease(), self._watch(), self._behind.run())
            ]
            worker = group.create_task(self._serve_all())
            await self._stopping.wait()
            self._status.phase = "Draining"
            await self._drain(worker)
            for task in beside:
                task.cancel()
        if self._status.lease:
            try:
                await self._store.release(self._status.lease.token)
            except Unavailable as trouble:
                log.warning("The lease was not released and has to expire: %s", trouble)

    async def _drain(self, worker: asyncio.Task[None]) -> None:
        """Let the request in hand and the memories waiting go on for a while; what is left is recorded."""
        limit = asyncio.ensure_future(self._clock.sleep(self._patience.drain))
        flushed = asyncio.ensure_future(self._behind.flushed())
        await asyncio.wait({worker, limit}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({flushed, limit}, return_when=asyncio.FIRST_COMPLETED)
        for task in (worker, flushed, limit):
            task.cancel()

    # The lease

    async def _keep_lease(self) -> None:
        """Take the lease and renew it for ever."""
        backoff = Backoff(self._rng, longest=self._patience.lease / 3)
        while True:
            asked_at = self._clock.now()
            try:
                wait = await self._renew(asked_at) if self._status.lease else await self._take(asked_at)
                backoff.reset()
            except LeaseLost:
                log.warning("The lease was lost; taking it again")
                self._lose_lease()
                continue
            except Unavailable as trouble:
                self._note(trouble)
                wait = backoff.next()
            await self._doubt.wait(wait)

    async def _take(self, asked_at: float) -> float:
        """Try to take the lease; return when to look at it again."""
        seconds = self._patience.lease
        taken = await self._store.take(f"{self._rng.getrandbits(128):032x}", seconds)
        if isinstance(taken, HeldByAnother):
            return look_again_after(seconds, taken.left)
        self._status.lease = Lease(taken.token, taken.epoch, asked_at + seconds)
        if self._status.phase == "WaitingForLease":
            self._status.phase = "Serving"
        log.info("The lease is held", extra={"epoch": taken.epoch})
        self._inbox = True
        self._work.ring()
        return renew_after(seconds)

    async def _renew(self, asked_at: float) -> float:
        """Renew the lease, and learn whether there is something in the inbox; return when to renew again."""
        lease = self._status.lease
        if lease is None:
            return 0.0
        recorded = await self._store.renew(lease.token, self._patience.lease)
        if self._status.lease is lease:  # else the worker learned meanwhile that it is lost
            self._status.lease = lease.renewed(asked_at, self._patience.lease)
        if recorded > self._in_hand:
            self._inbox = True
            self._work.ring()
        return renew_after(self._patience.lease)

    def _lose_lease(self) -> None:
        self._status.lease = None
        if self._status.phase == "Serving":
            self._status.phase = "WaitingForLease"

    def _token(self) -> str:
        """Return the token of the lease held now; raises `LeaseLost`, or what keeps Redis from telling."""
        lease = self._status.lease
        if lease is not None and lease.held(self._clock.now()):
            return lease.token
        if trouble := self._status.trouble_with("Redis"):
            raise trouble
        raise LeaseLost("The lease is not held.")

    # The queue

    async def _watch(self) -> None:
        """Let events wake the worker; they only save time, for it asks anyway."""
        backoff = Backoff(self._rng, shortest=0.5, longest=30.0)
        while True:
            opened_at = self._clock.now()
            try:
                await self._queue.watch(self._wake)
            except Unavailable as trouble:
                self._note(trouble)
            if self._clock.now() - opened_at > self._patience.poll:
                backoff.reset()
            await self._clock.sleep(backoff.next())

    def _wake(self, category: Category | None) -> None:
        self._maybe.update(CATEGORIES if category is None else (category,))
        self._work.ring()

    # The worker

    async def _serve_all(self) -> None:
        """Serve one request after the other until told to stop."""
        backoff = Backoff(self._rng)
        while not self._stopping.is_set():
            self._status.moved()
            try:
                self._token()
                if not await self._serve_next():
                    await self._idle()
                backoff.reset()
            except LeaseLost:
                await self._work.wait(self._patience.poll)
            except Unavailable as trouble:
                self._note(trouble)
                await self._pause(backoff.next(trouble.retry_after))

    async def _idle(self) -> None:
        """Wait for an event, or until the queue has to be asked without one."""
        await self._work.wait(max(0.0, self._ask_at - self._clock.now()))
        if self._clock.now() >= self._ask_at:
            self._maybe.update(CATEGORIES)
            self._ask_at = self._clock.now() + self._patience.poll

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
                assignment = await self._queue.acquire(category)
            except Unavailable:
                self._maybe.add(category)
                raise
            if assignment is not None:
                self._maybe.add(category)
                await self._serve(Recorded(assignment=assignment, attempts=1), is_recorded=False)
                return True
        return False

    async def _serve_inbox(self) -> bool:
        """Finish what a predecessor, or an agent without the lease, recorded."""
        try:
            recorded = await self._store.recorded()
        except Unavailable:
            self._inbox = True
            raise
        for ar_id, data in recorded.items():
            if self._stopping.is_set():
                break
            try:
                request = Recorded.load(data)
            except DamagedRecord:
                self._meter.damaged("request")
                await self._store.forget(ar_id)
                continue
            if ar_id in self._begun:
                await self._serve(request, is_recorded=True)
            else:
                again = request.model_copy(update={"attempts": request.attempts + 1})
                await self._serve(again, is_recorded=False)
        return bool(recorded)

    async def _serve(self, request: Recorded, *, is_recorded: bool) -> None:
        """Bring one request to its end, or leave it recorded for whoever holds the lease."""
        began_at = self._clock.now()
        kind = str(request.assignment.ar_params.get("type"))
        self._in_hand = 1
        self._begun.add(request.assignment.ar_id)
        try:
            outcome = await self._finish(request, is_recorded=is_recorded)
        finally:
            self._in_hand = 0
        seconds = self._clock.now() - began_at
        known = kind if kind in ("init_tracking", "track") else "other"
        self._meter.request(known, outcome, seconds)
        details = {"outcome": outcome, "ms": round(seconds * 1000, 1), "request": request.assignment.ar_id}
        log.info("request", extra={**describe(request.assignment.ar_params), **details})

    async def _finish(self, request: Recorded, *, is_recorded: bool) -> str:
        """Do what the module says, line by line; return how it ended."""
        ar_id = request.assignment.ar_id
        backoff = Backoff(self._rng)
        give_up_at = self._clock.now() + self._patience.request
        outcome: str | None = None
        while True:
            self._status.moved()
            try:
                if not is_recorded:
                    await self._store.record(ar_id, request.dump())
                    is_recorded = True
                if outcome is None:
                    outcome, tell = await self._decide(request)
                self._token()
                await tell()
                break
            except LeaseLost as lost:
                return self._leave(ar_id, lost)
            except NotOurs as gone:
                log.info("CVAT no longer takes an answer", extra={"request": ar_id, "why": str(gone)})
                outcome = "not_ours"
                break
            except AnswerRefused as refusal:
                outcome, tell = "failed", self._failure(ar_id, str(refusal))
            except Unavailable as trouble:
                self._note(trouble)
                late = outcome is None and self._clock.now() > give_up_at
                if late and await self._told(ar_id, trouble):
                    outcome = "failed"
                    break
                if is_recorded and self._stopping.is_set():
                    return "left"
                await self._pause(backoff.next(trouble.retry_after))
        await self._forget(ar_id)
        return outcome or "failed"

    async def _told(self, ar_id: str, trouble: Unavailable) -> bool:
        """Tell the annotator that the answer has to wait for something; return whether CVAT took it.

        Where Redis is away nobody can hold the lease: this one failure is sent without it.
        """
        if isinstance(trouble, CVATUnavailable):
            if not self._status.lease_held():
                return False
            sentence = "CVAT does not serve this frame to the tracking agent now; run the action again later."
        else:
            sentence = "The tracking agent cannot reach its store now; run the action again later."
        try:
            await self._fail(ar_id, sentence)
        except NotOurs:
            return True
        except Unavailable as more:
            self._note(more)
            return False
        return True

    async def _decide(self, request: Recorded) -> tuple[str, Callable[[], Awaitable[None]]]:
        """Return how the request ends, and what tells CVAT so."""
        ar_id, parameters = request.assignment.ar_id, request.assignment.ar_params
        token = self._token()
        if request.attempts > self._patience.attempts:
            sentence = (
                f"The tracking agent stopped {request.attempts - 1} times during this request; it gave up."
            )
            return "failed", self._failure(ar_id, sentence)
        try:
            answer: dict[str, JsonValue] = await self._answering.answer(ar_id, parameters, token)
        except RequestRefused as refusal:
            log.info("A request was refused", extra={"request": ar_id, "why": str(refusal)})
            return "refused", self._failure(ar_id, str(refusal))
        except (Unavailable, LeaseLost, GaveUp):
            raise
        except Exception:  # a bug must fail one request, not the agent
            log.exception("A request met a bug", extra={"request": ar_id})
            return "failed", self._failure(
                ar_id, "The tracking agent met an internal error; its log says more."
            )
        return "completed", lambda: self._queue.complete(ar_id, answer)

    def _failure(self, ar_id: str, sentence: str) -> Callable[[], Awaitable[None]]:
        return lambda: self._fail(ar_id, sentence)

    async def _fail(self, ar_id: str, sentence: str) -> None:
        try:
            await self._queue.fail(ar_id, sentence)
        except AnswerRefused as refusal:  # there is nothing else to say
            log.warning("%s", refusal, extra={"request": ar_id})

    def _leave(self, ar_id: str, lost: LeaseLost) -> str:
        """Leave the request where it is recorded: whoever holds the lease finishes it."""
        log.warning(
            "A request is left to whoever holds the lease", extra={"request": ar_id, "why": str(lost)}
        )
        if self._status.lease_held():
            self._lose_lease()  # Redis knows better
        self._inbox = True
        self._doubt.ring()
        return "left"

    async def _forget(self, ar_id: str) -> None:
        """Drop the record; where that fails it stays in the inbox, until CVAT says that it is not ours."""
        self._begun.discard(ar_id)
        try:
            await self._store.forget(ar_id)
        except Unavailable as trouble:
            self._note(trouble)
            self._inbox = True

    # Trouble

    async def _pause(self, seconds: float) -> None:
        """Wait before trying again; being told to stop cuts the wait short, once."""
        slept = asyncio.ensure_future(self._clock.sleep(seconds))
        stopped = asyncio.ensure_future(self._stopping.wait())
        ending = {slept} if self._stopping.is_set() else {slept, stopped}
        try:
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            stopped.cancel()

    def _note(self, trouble: Unavailable) -> None:
        peer: Peer = "CVAT" if isinstance(trouble, CVATUnavailable) else "Redis"
        self._status.trouble(peer, trouble)
        self._meter.unavailable(trouble.reason)
        log.warning("%s", trouble, extra={"reason": trouble.reason})


def _answering(
    world: World, behind: WriteBehind, shape_types: frozenset[ShapeType], patience: Patience
) -> Answering:
    recent = Recent()
    footage = Footage(world.frames, world.tracker, world.compute, recent)
    tracks = Tracks(
        tracker=world.tracker,
        compute=world.compute,
        footage=footage,
        store=world.store,
        behind=behind,
        recent=recent,
        clock=world.clock,
        events=world.meter,
        patience=patience.restore,
    )
    return Answering(
        tracks=tracks,
        footage=footage,
        frames=world.frames,
        store=world.store,
        events=world.meter,
        rng=world.rng,
        fingerprint=world.tracker.fingerprint,
        shape_types=shape_types,
    )
