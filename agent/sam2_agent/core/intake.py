"""Taking requests: from CVAT's queue, interactive ones first, and from the inbox.

Several are served side by side.  The model computes for one at a time, but while it does, the answer of
another is on its way to CVAT, a third is read, and a fourth waits for its frame.  The model changes between
them after every batch of objects: nobody waits for all objects of another, let alone for a long restoration.

What is recorded in Redis is also the inbox: there the holder of the lease finds what a predecessor left, and
what reached an agent without the lease.  Such a request may be what ended its agent.  It is served alone, so
that it takes no other with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias

from sam2_agent.core.alarm import Alarm
from sam2_agent.core.backoff import Backoff
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Clock, Events, Queue, Store
from sam2_agent.core.requests import CATEGORIES, MAX_BODY, Assignment, Category, Recorded, weight
from sam2_agent.core.serving import Serving
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import DamagedRecord, LeaseLost, Unavailable

Serve: TypeAlias = Callable[[Recorded], Awaitable[str]]

AT_ONCE = 8
"""So many requests are served side by side, and no more while those in hand are as large as one may be."""

ASK_AGAIN_SECONDS = 1.0
"""Each request is announced by an event; one whose event was lost behind others is found after so long."""

ALONE_SECONDS = 600.0
"""For so long requests are served one by one with a CVAT that hands out anew what is in hand."""


class Intake:
    """Has requests served until told to stop."""

    def __init__(
        self,
        *,
        queue: Queue,
        store: Store,
        serving: Serving,
        keeper: LeaseKeeper,
        status: Status,
        clock: Clock,
        rng: Random,
        events: Events,
        troubles: Troubles,
        patience: Patience,
        stopping: asyncio.Event,
    ) -> None:
        self._queue = queue
        self._store = store
        self._serving = serving
        self._keeper = keeper
        self._status = status
        self._clock = clock
        self._rng = rng
        self._events = events
        self._troubles = troubles
        self._patience = patience
        self._stopping = stopping
        self._work = Alarm(clock)
        self._announced: Counter[Category] = Counter()
        """How many requests events told of, since the queue was last empty."""
        self._unannounced: set[Category] = set(CATEGORIES)
        """Where there may be requests of which no event told: it is asked until there are none."""
        self._ask_at = clock.now()
        self._inbox = False
        self._in_hand: dict[str, Assignment] = {}
        """What is served now, by id."""
        self._one_by_one_until = clock.now()
        self._taken_away: deque[bytes] = deque(maxlen=AT_ONCE)
        """Digests of what the last requests asked for to which CVAT took no answer."""
        self._alone: str | None = None
        self._again: dict[str, tuple[Category, Recorded]] = {}
        """What CVAT handed out again while it was in hand, by id."""

    def wake(self, category: Category | None = None) -> None:
        """There is a request in the queue; with None there may be some in any category."""
        if category is None:
            self._unannounced.update(CATEGORIES)
        else:
            self._announced[category] += 1
        self._work.ring()

    def look_into_inbox(self, recorded: int | None) -> None:
        """Look there where more requests are recorded, or were left, than are in hand."""
        if recorded is None or max(recorded, self._serving.begun) > len(self._in_hand):
            self._inbox = True
            self._work.ring()

    def stop(self) -> None:
        """Notice that `stopping` is set."""
        self._work.ring()

    async def run(self) -> None:
        """Have requests served; told to stop, return when those in hand have ended."""
        async with asyncio.TaskGroup() as in_hand:
            backoff = Backoff(self._rng)
            while not self._stopping.is_set():
                self._status.moved()
                try:
                    self._keeper.token()
                    if not await self._take_next(in_hand):
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
        await self._work.wait(max(0.0, self._ask_at - self._clock.now()))
        if self._clock.now() >= self._ask_at:
            self._unannounced.update(CATEGORIES)
            self._ask_at = self._clock.now() + self._patience.poll

    async def _take_next(self, in_hand: asyncio.TaskGroup) -> bool:
        """Begin with what is in the inbox, or else the next request; return whether there may be more."""
        if self._alone in self._in_hand:
            return False
        if self._inbox:
            self._inbox = False
            return await self._take_from_inbox(in_hand)
        if self._hands_full():
            return False
        for category in CATEGORIES:
            told = self._announced[category] or category in self._unannounced
            if told and await self._take_from_queue(category, in_hand):
                return True
        return False

    async def _take_from_queue(self, category: Category, in_hand: asyncio.TaskGroup) -> bool:
        """Begin with the next request of a category; return whether there was one to begin with."""
        # Taken away before asking, so that an event that comes meanwhile counts.
        announced, unannounced = self._announced.pop(category, 0), self._unannounced & {category}
        self._unannounced.discard(category)
        try:
            assignment = await self._queue.acquire(category)
        except Unavailable:
            self._announced[category] += announced
            self._unannounced |= unannounced
            raise
        if assignment is None:
            return False
        request = Recorded(assignment=assignment, attempts=1)
        if assignment.ar_id in self._in_hand:
            self._again[assignment.ar_id] = category, request
            return False
        if self._is_known(assignment):
            # Under another id: the one before is no longer ours, and so would be this one soon.
            self._one_by_one_until = self._clock.now() + ALONE_SECONDS
        self._announced[category] += max(0, announced - 1)
        self._unannounced |= unannounced
        self._begin(in_hand, request, self._serving.serve)
        return True

    async def _take_from_inbox(self, in_hand: asyncio.TaskGroup) -> bool:
        """Begin with what this agent left, and where nothing else is in hand with what another recorded."""
        try:
            recorded = await self._store.recorded()
        except Unavailable:
            self._inbox = True
            raise
        for ar_id, data in recorded.items():
            if self._stopping.is_set() or ar_id in self._in_hand:
                continue
            try:
                request = Recorded.load(data, ar_id)
            except DamagedRecord:
                self._events.damaged("request")
                await self._store.forget_damaged(ar_id, data)
                continue
            if self._serving.knows(ar_id):
                if not self._serving.waits(ar_id):
                    self._begin(in_hand, request, self._serving.serve_recorded)
                continue
            self._inbox = True  # it is looked at again when this one, or what is in hand before it, has ended
            if not self._in_hand:
                self._begin(in_hand, request, self._serving.serve_recorded)
                self._alone = ar_id
                return False
        for request in self._serving.left(besides={*recorded, *self._in_hand}):
            if not self._stopping.is_set():
                self._begin(in_hand, request, self._serving.serve)
        return not self._inbox

    def _is_known(self, assignment: Assignment) -> bool:
        """Whether what is asked for is in hand, or was before CVAT took it away."""
        if any(assignment.ar_params == other.ar_params for other in self._in_hand.values()):
            return True
        return bool(self._taken_away) and _digest(assignment) in self._taken_away

    def _hands_full(self) -> bool:
        at_once = 1 if self._clock.now() < self._one_by_one_until else AT_ONCE
        held = sum(weight(assignment.ar_params) for assignment in self._in_hand.values())
        return len(self._in_hand) >= at_once or held >= MAX_BODY

    def _begin(self, in_hand: asyncio.TaskGroup, request: Recorded, serve: Serve) -> None:
        self._in_hand[request.assignment.ar_id] = request.assignment
        in_hand.create_task(self._serve(request, serve))

    async def _serve(self, request: Recorded, serve: Serve) -> None:
        """Have a request served; once more where CVAT handed it out anew before it took no answer to it."""
        ar_id = request.assignment.ar_id
        try:
            outcome = await serve(request)
            while again := self._again.pop(ar_id, None):
                category, request = again
                self._unannounced.add(category)  # what stands behind it was not handed out
                if outcome != "completed":
                    outcome = await self._serving.serve(request)
            if outcome == "not_ours":
                self._taken_away.append(_digest(request.assignment))
        finally:
            del self._in_hand[ar_id]
            self._ask_at = min(self._ask_at, self._clock.now() + ASK_AGAIN_SECONDS)
            self._work.ring()


def _digest(assignment: Assignment) -> bytes:
    """Name what is asked for, whatever the request's id: the parameters themselves may be 64 MiB."""
    return hashlib.sha256(json.dumps(assignment.ar_params, sort_keys=True).encode()).digest()
