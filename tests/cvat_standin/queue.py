"""The queue of one function: plain state, no HTTP, time as an argument.

A request belongs to the `agent_id` that acquired it. What CVAT does with one whose agent died is not public,
so the policy is a setting (`Redelivery`): hand it out again after a time, under the same or a new id; hand it
out again when the same agent id asks; or never.

    agent A          queue                 agent B
    acquire ───────► started, A
                     (after_seconds pass)
                     queued ◄───────────── acquire
                     started, B ─────────► same or new id
    complete ──────► refused: B has it
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.cvat_standin.errors import ApiError

Category = Literal["interactive", "batch"]
Status = Literal["queued", "started", "finished", "failed"]
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Redelivery:
    """When a request in an agent's hands is handed out again. The default is never."""

    after_seconds: float | None = None
    """Seconds since it was acquired or last updated."""
    new_id: bool = False
    """Whether it then has a new id; the old one is unknown from then on."""
    to_same_agent: bool = False
    """Whether an acquire by the agent id that holds it hands it out again."""
    refusal_status: int = 404
    """Status for an agent that reports on a request that it does not hold (any more)."""


@dataclass(slots=True, eq=False)
class AnnotationRequest:
    """One piece of work; `key` stays when the id changes."""

    key: int
    id: str
    function_id: int
    category: Category
    params: dict[str, Any]
    requester_id: int
    enqueued: float
    status: Status = "queued"
    agent_id: str | None = None
    handed_out: int = 0
    held_since: float = 0.0
    progress: float = 0.0
    started: float | None = None
    ended: float | None = None
    exc_info: str = ""
    result: dict[str, Any] = field(default_factory=dict)


class FunctionQueue:
    """Requests of one function, oldest first."""

    def __init__(self, function_id: int, new_id: Callable[[], str]) -> None:
        self.function_id = function_id
        self._new_id = new_id
        self._open: list[AnnotationRequest] = []
        self._ended: deque[AnnotationRequest] = deque(maxlen=_REMEMBERED)

    def __iter__(self) -> Iterator[AnnotationRequest]:
        return iter(sorted((*self._ended, *self._open), key=lambda request: request.key))

    def submit(
        self, key: int, category: Category, params: dict[str, Any], *, requester_id: int, now: float
    ) -> AnnotationRequest:
        """Put a request at the end of the queue."""
        request = AnnotationRequest(
            key, self._new_id(), self.function_id, category, params, requester_id, now
        )
        self._open.append(request)
        return request

    def withdraw(self, request: AnnotationRequest) -> None:
        """Forget a request; whoever holds it is refused from then on."""
        for requests in (self._open, self._ended):
            if request in requests:
                requests.remove(request)

    def due(self, policy: Redelivery, now: float) -> list[AnnotationRequest]:
        """Put back what was held too long, and return it."""
        if policy.after_seconds is None:
            return []
        expired = [
            request
            for request in self._open
            if request.status == "started" and now >= request.held_since + policy.after_seconds
        ]
        for request in expired:
            self.put_back(request, new_id=policy.new_id)
        return expired

    def next_due(self, policy: Redelivery) -> float | None:
        """The earliest instant at which a held request will be due."""
        if policy.after_seconds is None:
            return None
        held = [request.held_since for request in self._open if request.status == "started"]
        return min(held) + policy.after_seconds if held else None

    def put_back(self, request: AnnotationRequest, *, new_id: bool) -> None:
        """Take the request from its agent, for the next acquire."""
        request.status = "queued"
        request.agent_id = None
        if new_id:
            request.id = self._new_id()

    def acquire(
        self, agent_id: str, category: Category, policy: Redelivery, now: float
    ) -> AnnotationRequest | None:
        """Hand out the oldest request of the category that this agent may have."""
        self.due(policy, now)
        for request in self._open:
            waiting = request.status == "queued"
            again = policy.to_same_agent and request.status == "started" and request.agent_id == agent_id
            if request.category == category and (waiting or again):
                if again and policy.new_id:
                    request.id = self._new_id()
                request.status = "started"
                request.agent_id = agent_id
                request.held_since = now
                request.started = request.started if request.started is not None else now
                request.handed_out += 1
                return request
        return None

    def held(self, request_id: str, agent_id: str, policy: Redelivery, now: float) -> AnnotationRequest:
        """The request, if this agent holds it at this instant. Raises `ApiError` with the policy's status."""
        self.due(policy, now)
        for request in self._open:
            if request.id == request_id and request.status == "started" and request.agent_id == agent_id:
                return request
        raise ApiError(
            policy.refusal_status,
            {"detail": f"Agent {agent_id} does not hold annotation request {request_id}."},
        )

    def update(self, request: AnnotationRequest, progress: float, now: float) -> None:
        """Note progress (0..1); the agent lives, so its time starts anew."""
        request.progress = progress
        request.held_since = now

    def complete(self, request: AnnotationRequest, result: dict[str, Any], now: float) -> None:
        """End the request with the agent's answer."""
        request.status = "finished"
        request.progress = 1.0
        request.result = result
        self._end(request, now)

    def fail(self, request: AnnotationRequest, exc_info: str, now: float) -> None:
        """End the request with the agent's sentence."""
        request.status = "failed"
        request.exc_info = exc_info
        self._end(request, now)

    def _end(self, request: AnnotationRequest, now: float) -> None:
        request.ended = now
        self._open.remove(request)
        self._ended.append(request)
