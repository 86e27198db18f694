"""Bringing one request to its end.

    record         it is noted in Redis; from there on a successor finishes it if this agent dies
    answer         beside that: what stands is taken, what is missing is computed and published (`answering`);
                   nobody works ahead until the model has done its part (`spare_time`)
    lease held?    if not, the request is left where it is recorded, for whoever holds the lease
    complete       or fail, with a sentence for the annotator
    forget         the record is dropped, once CVAT took the answer or said that it is no longer ours

Every line may be repeated, so after any failure the request begins anew at the first that was not reached.

A request that CVAT keeps waiting is left in the inbox after a while, and tried again in between (`turns`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Container, Coroutine
from random import Random
from typing import Any, TypeAlias

from pydantic import JsonValue

from sam2_agent.core.answering import Answering
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Clock, Events, Queue, Store
from sam2_agent.core.requests import Recorded, describe
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.core.turns import Begun, Turns
from sam2_agent.errors import (
    AnswerRefused,
    CVATShielded,
    CVATUnavailable,
    GaveUp,
    LeaseLost,
    NotOurs,
    RequestRefused,
    Unavailable,
)

log = logging.getLogger(__name__)

Tell: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
"""Tells CVAT how a request ended."""


class Serving:
    """Serves requests, several at once."""

    def __init__(
        self,
        *,
        queue: Queue,
        store: Store,
        answering: Answering,
        spare: SpareTime,
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
        self._answering = answering
        self._spare = spare
        self._keeper = keeper
        self._status = status
        self._clock = clock
        self._events = events
        self._troubles = troubles
        self._patience = patience
        self._stopping = stopping
        self._turns = Turns(clock, rng)

    async def serve(self, request: Recorded) -> str:
        """Serve a request that CVAT just handed out, or leave it recorded for the lease's holder.

        Returns the outcome: completed, failed, refused, not_ours or left.

        Where CVAT hands out at once again what has to wait, there is nothing else to do than wait.
        """
        if wait := self._turns.wait(request.assignment.ar_id):
            await self.pause(wait)
        return await self._serve(request, is_recorded=False)

    async def serve_recorded(self, request: Recorded) -> str:
        """Serve a request from the inbox, or leave it there for the lease's holder; returns as `serve`."""
        if self.knows(request.assignment.ar_id):
            return await self._serve(request, is_recorded=True)
        again = request.model_copy(update={"attempts": request.attempts + 1})
        return await self._serve(again, is_recorded=False)

    @property
    def begun(self) -> int:
        """How many requests this agent began and did not end; those in hand are among them."""
        return len(self._turns)

    def left(self, besides: Container[str]) -> list[Recorded]:
        """The requests, by id none of `besides`, that were left for now and are due.

        Redis may have lost their records; if another holder ended them meanwhile, CVAT says so.
        """
        return self._turns.due(besides)

    def knows(self, ar_id: str) -> bool:
        """Whether this agent began the request, and did not end it."""
        return ar_id in self._turns

    def waits(self, ar_id: str) -> bool:
        """Whether the request was left for now and is not due."""
        return bool(self._turns.wait(ar_id))

    async def _serve(self, request: Recorded, *, is_recorded: bool) -> str:
        began_at = self._clock.now()
        ar_id = request.assignment.ar_id
        kind = str(request.assignment.ar_params.get("type"))
        outcome = await self._finish(self._turns.begin(request, is_recorded=is_recorded))
        if outcome == "completed":
            self._status.served()
        seconds = self._clock.now() - began_at
        known = kind if kind in ("init_tracking", "track") else "other"
        self._events.request(known, outcome, seconds)
        details = {"outcome": outcome, "ms": round(seconds * 1000, 1), "request": ar_id}
        log.info("request", extra={**describe(request.assignment.ar_params), **details})
        return outcome

    async def _finish(self, begun: Begun) -> str:
        """Do what the module says; return how it ended."""
        ar_id = begun.request.assignment.ar_id
        turn_began_at = self._clock.now()
        outcome: str | None = None
        leaving = False
        while True:
            try:
                if leaving:
                    await self._record(begun)
                    return "left"
                if outcome is None:
                    with self._spare.busy() as computed:
                        outcome, tell = await self._record_and_decide(begun, computed)
                self._keeper.token()
                await tell()
                break
            except LeaseLost as lost:
                log.warning(
                    "A request is left to the lease's holder", extra={"request": ar_id, "why": str(lost)}
                )
                self._keeper.doubt(begun.token)
                begun.is_recorded, leaving = False, True  # what lost the lease may have lost the record too
            except NotOurs as gone:
                log.info("CVAT no longer takes an answer", extra={"request": ar_id, "why": str(gone)})
                outcome = "not_ours"
                break
            except AnswerRefused as refusal:
                outcome, tell = "failed", self._failure(ar_id, str(refusal))
            except Unavailable as trouble:
                self._troubles.note(trouble)
                late = begun.troubled(self._clock.now()) > self._patience.request
                if late and await self._told(ar_id, trouble, outcome):
                    outcome = "failed"
                    break
                if not await self._goes_on(trouble, begun, turn_began_at):
                    return "left"
        await self._forget(ar_id)
        return outcome or "failed"

    async def _record(self, begun: Begun) -> None:
        """Note the request in Redis, unless it is known to be there."""
        if not begun.is_recorded:
            await self._store.record(begun.request.assignment.ar_id, begun.request.dump())
            begun.is_recorded = True

    async def _record_and_decide(self, begun: Begun, computed: Callable[[], None]) -> tuple[str, Tell]:
        """Do both at once; the record is sent first, and is there before anybody is told."""
        recording = asyncio.ensure_future(self._record(begun))
        deciding = asyncio.ensure_future(self._decide(begun, computed))
        deciding.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await recording
            return await deciding
        finally:
            recording.cancel()
            deciding.cancel()

    async def _goes_on(self, trouble: Unavailable, begun: Begun, turn_began_at: float) -> bool:
        """Wait after trouble; or return at once that the request, which is recorded, is to be left for now.

        Where Redis is away or CVAT limits our rate nobody else would fare better.
        """
        if begun.is_recorded and self._stopping.is_set():
            return False
        wait, now = begun.backoff.next(trouble.retry_after), self._clock.now()
        alone = isinstance(trouble, CVATUnavailable) and trouble.retry_after is None
        if begun.is_recorded and alone and begun.troubled(now) >= self._patience.turn:
            begun.leave(now, turn_began_at, wait)
            return False
        await self.pause(wait)
        return True

    async def _told(self, ar_id: str, trouble: Unavailable, outcome: str | None) -> bool:
        """Tell the annotator why the answer does not come; return whether CVAT took that.

        An answer that is ready waits for CVAT as long as it takes, unless something in front of CVAT refuses
        it. Where Redis is away nobody can hold the lease: this one failure is sent without it.
        """
        if outcome is not None and not (outcome == "completed" and isinstance(trouble, CVATShielded)):
            return False
        if isinstance(trouble, CVATUnavailable) and not self._status.lease_held():
            return False
        if outcome is not None:
            sentence = "A proxy in front of CVAT refuses the tracking agent's answer; tell an administrator."
        elif isinstance(trouble, CVATUnavailable):
            sentence = "CVAT does not serve this frame to the tracking agent now; run the action again later."
        else:
            sentence = "The tracking agent cannot reach its store now; run the action again later."
        try:
            await self._fail(ar_id, sentence)
        except NotOurs:
            return True
        except Unavailable as more:
            self._troubles.note(more)
            return False
        return True

    async def _decide(self, begun: Begun, computed: Callable[[], None]) -> tuple[str, Tell]:
        """Return how the request ends, and what tells CVAT so; call `computed` when the model has."""
        request = begun.request
        ar_id, parameters = request.assignment.ar_id, request.assignment.ar_params
        begun.token = token = self._keeper.token()
        if request.attempts > self._patience.attempts:
            sentence = (
                f"The tracking agent stopped {request.attempts - 1} times during this request; it gave up."
            )
            return "failed", self._failure(ar_id, sentence)
        try:
            answer: dict[str, JsonValue] = await self._answering.answer(ar_id, parameters, token, computed)
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

    def _failure(self, ar_id: str, sentence: str) -> Tell:
        return lambda: self._fail(ar_id, sentence)

    async def _fail(self, ar_id: str, sentence: str) -> None:
        try:
            await self._queue.fail(ar_id, sentence)
        except AnswerRefused as refusal:  # there is nothing else to say
            log.warning("%s", refusal, extra={"request": ar_id})

    async def _forget(self, ar_id: str) -> None:
        """Drop the record; where that fails it is found in the inbox, and CVAT says that it is not ours."""
        self._turns.end(ar_id)
        try:
            await self._store.forget(ar_id)
        except Unavailable as trouble:
            self._troubles.note(trouble)

    async def pause(self, seconds: float) -> None:
        """Wait before trying again; being told to stop cuts the wait short, once."""
        slept = asyncio.ensure_future(self._clock.sleep(seconds))
        stopped = asyncio.ensure_future(self._stopping.wait())
        ending = {slept} if self._stopping.is_set() else {slept, stopped}
        try:
            await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            stopped.cancel()
