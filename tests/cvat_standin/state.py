"""All that the server knows, in memory, and the few steps that touch several parts of it.

Everything here runs in the server's event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from tests.cvat_standin.accounts import Accounts
from tests.cvat_standin.answers import check_answer
from tests.cvat_standin.clock import Clock
from tests.cvat_standin.errors import not_found
from tests.cvat_standin.faults import Faults
from tests.cvat_standin.functions import Functions
from tests.cvat_standin.journal import Journal, LogEntry
from tests.cvat_standin.queue import AnnotationRequest, Category, FunctionQueue, Redelivery
from tests.cvat_standin.tasks import Tasks
from tests.cvat_standin.watchers import Watchers
from tests.cvat_standin.wire import CompleteBody


class StandIn:
    """The stand-in's state."""

    def __init__(self, on_call: Callable[[LogEntry], None] = lambda _entry: None) -> None:
        self.clock = Clock()
        self.accounts = Accounts()
        self.tasks = Tasks()
        self.functions = Functions()
        self.faults = Faults()
        self.journal = Journal(on_call)
        self.watchers = Watchers(self.clock)
        self.redelivery = Redelivery()
        self.closing = asyncio.Event()
        self._keys = count(1)
        self._queues: dict[int, FunctionQueue] = {}
        self._ended: dict[int, asyncio.Event] = {}
        self._shape_types: dict[str, str] = {}
        self._timer: asyncio.Task[None] | None = None

    def close(self) -> None:
        """Let go of everyone who waits, so that the server can stop."""
        self.closing.set()
        self.watchers.cut_all()
        self.faults.release()
        for ended in self._ended.values():
            ended.set()
        if self._timer is not None:
            self._timer.cancel()

    def queue(self, function_id: int) -> FunctionQueue:
        """The queue of a function. Raises `ApiError` 404 when the function is gone."""
        self.functions.get(function_id)
        return self._queues.setdefault(function_id, FunctionQueue(function_id, lambda: str(uuid.uuid4())))

    def requests(self) -> Iterator[AnnotationRequest]:
        """All requests of all functions that exist."""
        for queue in list(self._queues.values()):
            yield from queue

    def request(self, request_id: str) -> AnnotationRequest:
        """The request of that id. Raises `ApiError` 404."""
        for request in self.requests():
            if request.id == request_id:
                return request
        raise not_found("AnnotationRequest")

    def remove_function(self, function_id: int, *, end_streams: bool = True) -> None:
        """Delete a function with its queue; who waits for an answer learns that it will not come."""
        self.functions.remove(function_id)
        queue = self._queues.pop(function_id, None)
        for request in queue or ():
            if request.ended is None:
                request.status = "failed"
                request.exc_info = "The function has been deleted."
                self._wake(request)
        if end_streams:
            self.watchers.cut(function_id)

    def submit(
        self, function_id: int, category: Category, params: dict[str, Any], *, requester_id: int
    ) -> AnnotationRequest:
        """Put a request into the function's queue and tell the agents that watch it."""
        request = self.queue(function_id).submit(
            next(self._keys), category, params, requester_id=requester_id, now=self.clock.now()
        )
        self._ended[request.key] = asyncio.Event()
        self.watchers.notify(function_id, category)
        return request

    async def ended(self, request: AnnotationRequest) -> None:
        """Return once the request has ended, or the server is about to stop."""
        if (ended := self._ended.get(request.key)) is not None:
            await ended.wait()

    def acquire(self, function_id: int, agent_id: str, category: Category) -> AnnotationRequest | None:
        """Hand out the next request of a category."""
        request = self.queue(function_id).acquire(agent_id, category, self.redelivery, self.clock.now())
        self.watch_over_hands()
        return request

    def complete(self, function_id: int, request_id: str, answer: CompleteBody) -> None:
        """Take an agent's answer. Raises `ApiError` unless the request is its and the answer fits."""
        now = self.clock.now()
        queue = self.queue(function_id)
        request = queue.held(request_id, answer.agent_id, self.redelivery, now)
        params = request.params
        shape_types: list[str | None] = (
            [shape["type"] for shape in params["shapes"]]
            if params.get("type") == "init_tracking"
            else [self._shape_types.get(_digest(state)) for state in params.get("states", [])]
        )
        image_size = self.tasks.image_size(params["task"], params.get("frame", 0))
        result = check_answer(params, answer, shape_types=shape_types, image_size=image_size)
        for state, shape_type in zip(result.get("states", []), shape_types, strict=False):
            if shape_type is not None:
                self._shape_types[_digest(state)] = shape_type
        queue.complete(request, result, now)
        self._wake(request)

    def update(self, function_id: int, request_id: str, agent_id: str, progress: float) -> None:
        """Note an agent's progress. Raises `ApiError` when the request is not its."""
        queue = self.queue(function_id)
        now = self.clock.now()
        queue.update(queue.held(request_id, agent_id, self.redelivery, now), progress, now)

    def fail(self, function_id: int, request_id: str, agent_id: str, exc_info: str) -> None:
        """Take an agent's refusal. Raises `ApiError` when the request is not its."""
        queue = self.queue(function_id)
        now = self.clock.now()
        request = queue.held(request_id, agent_id, self.redelivery, now)
        queue.fail(request, exc_info, now)
        self._wake(request)

    def put_back(self, request: AnnotationRequest, *, new_id: bool) -> None:
        """Take a request from its agent at once and offer it again."""
        self.queue(request.function_id).put_back(request, new_id=new_id)
        self.watchers.notify(request.function_id, request.category)

    def withdraw(self, request: AnnotationRequest) -> None:
        """Forget a request."""
        self.queue(request.function_id).withdraw(request)

    def watch_over_hands(self) -> None:
        """Announce in time what agents hold for too long; call it when a hold or the policy changes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [
            instant
            for queue in self._queues.values()
            if (instant := queue.next_due(self.redelivery)) is not None
        ]
        if due and not self.closing.is_set():
            self._timer = asyncio.create_task(self._offer_again(min(due)))

    async def _offer_again(self, instant: float) -> None:
        await self.clock.sleep_until(instant)
        for queue in list(self._queues.values()):
            for request in queue.due(self.redelivery, self.clock.now()):
                self.watchers.notify(request.function_id, request.category)
        self._timer = None
        self.watch_over_hands()

    def _wake(self, request: AnnotationRequest) -> None:
        if (ended := self._ended.pop(request.key, None)) is not None:
            ended.set()


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()
