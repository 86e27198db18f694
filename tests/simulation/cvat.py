"""CVAT as agents and annotators see it: one function's queue, and tasks with frames.

The queue itself is the stand-in's (`tests.cvat_standin.queue`); here are its callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, cast

from pydantic import JsonValue

from sam2_agent.core.requests import Category
from sam2_agent.errors import NotOurs
from tests.cvat_standin.errors import ApiError
from tests.cvat_standin.queue import AnnotationRequest, FunctionQueue, Redelivery
from tests.simulation.loop import VirtualLoop
from tests.simulation.trace import Trace
from tests.simulation.witness import Witness

AGENT_ID = "s2t_simulated_1"


class Complaint(Exception):
    """What the annotator's page shows where an action fails."""


@dataclass(slots=True)
class CVAT:
    """The server."""

    loop: VirtualLoop
    rng: Random
    redelivery: Redelivery
    sends_events: bool
    trace: Trace
    witness: Witness
    queue: FunctionQueue = field(init=False)
    known: dict[str, AnnotationRequest] = field(default_factory=dict)
    """Every id that was ever handed out."""
    _waiting: dict[int, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _streams: dict[asyncio.Future[None], Callable[[Category | None], None]] = field(default_factory=dict)
    _keys: count[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        ids = count(1)
        self.queue = FunctionQueue(1, lambda: f"ar-{next(ids)}")

    # What annotators call.

    async def run(self, who: str, category: Category, params: dict[str, Any]) -> dict[str, Any]:
        """Have an agent answer; raises `Complaint`."""
        request = self.queue.submit(next(self._keys), category, params, requester_id=1, now=self.loop.time())
        self.trace.note(who, f"asks {request.id}: {params['type']} frame {params['frame']}")
        answered = self.loop.create_future()
        self._waiting[request.key] = answered
        self.witness.asked(request)
        if self.sends_events:
            for wake in self._streams.values():
                self.loop.outside(self.rng.uniform(0.001, 0.05), wake, category)
        try:
            return cast("dict[str, Any]", await answered)
        finally:
            self._waiting.pop(request.key, None)

    def take_away(self, request: AnnotationRequest) -> None:
        """Forget a request, as when its annotator closes the page or loads it again."""
        self.queue.withdraw(request)
        self.trace.note("CVAT", f"takes {request.id} away")
        self._wake(request, Complaint("The page was loaded again."))

    def open_requests(self) -> list[AnnotationRequest]:
        """Requests that somebody waits for."""
        return [request for request in self.queue if request.key in self._waiting]

    # What agents call, when the call has arrived.

    def acquire(self, category: Category) -> dict[str, Any] | None:
        """Hand out a request."""
        request = self.queue.acquire(AGENT_ID, category, self.redelivery, self.loop.time())
        if request is None:
            return None
        self.known[request.id] = request
        self.witness.handed_out(request)
        return {"ar_id": request.id, "ar_params": request.params}

    def complete(self, who: str, ar_id: str, answer: Mapping[str, JsonValue]) -> None:
        """Take an answer."""
        known = self.known[ar_id]
        self.witness.told(who, ar_id, known, answer)
        request = self._held(ar_id)
        self.queue.complete(request, dict(answer), self.loop.time())
        self._wake(request, dict(answer))

    def fail(self, ar_id: str, sentence: str) -> None:
        """Take the news that there will be no answer."""
        request = self._held(ar_id)
        self.queue.fail(request, sentence, self.loop.time())
        self.witness.failed(request, sentence)
        self._wake(request, Complaint(sentence))

    def cut_streams(self) -> None:
        """End all event streams."""
        for ended in tuple(self._streams):
            if not ended.done():
                ended.set_result(None)

    def open_stream(self, wake: Callable[[Category | None], None]) -> asyncio.Future[None]:
        """Tell `wake` of new requests until the future is done."""
        ended: asyncio.Future[None] = self.loop.create_future()
        self._streams[ended] = wake
        return ended

    def close_stream(self, ended: asyncio.Future[None]) -> None:
        """Tell no more."""
        self._streams.pop(ended, None)

    def _held(self, ar_id: str) -> AnnotationRequest:
        try:
            return self.queue.held(ar_id, AGENT_ID, self.redelivery, self.loop.time())
        except ApiError as error:
            raise NotOurs(f"CVAT no longer takes an answer to this request ({ar_id}).") from error

    def _wake(self, request: AnnotationRequest, result: dict[str, Any] | Complaint) -> None:
        answered = self._waiting.get(request.key)
        if answered is None or answered.done():
            return
        if isinstance(result, Complaint):
            answered.set_exception(result)
        else:
            answered.set_result(result)
