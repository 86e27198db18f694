"""The function's queue in CVAT."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import ParamSpec, TypeVar, get_args

import urllib3
from pydantic import JsonValue

from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_replies import Refusal
from sam2_agent.core.requests import Assignment, Category, read_acquired
from sam2_agent.errors import AnswerRefused, CVATUnavailable, NotOurs

P = ParamSpec("P")
T = TypeVar("T")

_REQUEST = "/api/functions/queues/{queue}/requests/{request}"

SILENCE_SECONDS = 60.0
"""A stream that says nothing for so long, not even a keep-alive, is opened again."""

MAX_SENTENCE = 4096


class CVATQueue:
    """CVAT's queue `function:<id>` as `sam2_agent.core.ports.Queue`."""

    def __init__(self, client: CVATClient, function_id: int, agent_id: str) -> None:
        self._client = client
        self._function_id = function_id
        self._queue = f"function:{function_id}"
        self._agent_id = agent_id

    async def watch(self, wake: Callable[[Category | None], None]) -> None:
        """Call `wake` for each event, with None where any category may have work, until the stream ends."""
        loop = asyncio.get_running_loop()
        line = _Line()

        def listen() -> None:
            stream = self._client.stream(
                "/api/functions/queues/{queue}/watch", silence=SILENCE_SECONDS, queue=self._queue
            )
            with closing(stream), suppress(urllib3.exceptions.HTTPError, OSError, ValueError):
                line.hold(stream)
                loop.call_soon_threadsafe(wake, None)  # what came before the stream was open sends no event
                while data := stream.readline(65_536):
                    self._client.on_answer()
                    if data.startswith(b"data:"):
                        loop.call_soon_threadsafe(wake, _category(data.removeprefix(b"data:")))

        try:
            await self._ask(listen)
        finally:
            line.hang_up()

    async def acquire(self, category: Category) -> Assignment | None:
        """Take the next request."""
        return await self._ask(self._acquire, category)

    def _acquire(self, category: Category) -> Assignment | None:
        body = self._client.post(
            "/api/functions/queues/{queue}/requests/acquire",
            {"agent_id": self._agent_id, "request_category": category},
            queue=self._queue,
        )
        try:
            return read_acquired(body)
        except ValueError as error:
            raise CVATUnavailable(
                "CVAT hands out requests in a form that this agent does not know; it may be too new.",
                reason="CVATUnreachable",
            ) from error

    async def complete(self, ar_id: str, answer: Mapping[str, JsonValue]) -> None:
        """Answer a request."""
        await self._report("complete", ar_id, answer)

    async def fail(self, ar_id: str, sentence: str) -> None:
        """End a request with a sentence for the annotator."""
        await self._report("fail", ar_id, {"exc_info": sentence[:MAX_SENTENCE]})

    async def _report(self, what: str, ar_id: str, body: Mapping[str, JsonValue]) -> None:
        """Say how a request ended.

        400, 413 and 422 find fault with the body.  404, 409 and 410 say that the request is gone or
        another's.  403 says the same to an account that still sees the function; otherwise the account has
        lost its rights, maybe for a while.
        """
        try:
            await asyncio.to_thread(
                self._client.post,
                f"{_REQUEST}/{what}",
                {"agent_id": self._agent_id, **body},
                queue=self._queue,
                request=ar_id,
            )
        except Refusal as refusal:
            if refusal.status in (400, 413, 422):
                raise AnswerRefused(
                    f"CVAT does not take the answer (HTTP status {refusal.status}: {refusal.detail})."
                ) from refusal
            if refusal.status == 403:
                await self._ask(self._client.get, "/api/functions/{function}", function=self._function_id)
            raise NotOurs(f"CVAT no longer takes an answer to this request ({refusal}).") from refusal

    async def _ask(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call CVAT about the queue or the function as a whole."""
        try:
            return await asyncio.to_thread(call, *args, **kwargs)
        except Refusal as refusal:
            raise self._without_function(refusal) from refusal

    def _without_function(self, refusal: Refusal) -> CVATUnavailable:
        if refusal.status == 404:
            return CVATUnavailable(
                f"CVAT has no function {self._function_id}, or the agent's account may not see it.",
                reason="FunctionNotFound",
            )
        return CVATUnavailable(
            f"The agent's account may not serve function {self._function_id} ({refusal}).",
            reason="AccessDenied",
        )


def _category(data: bytes) -> Category | None:
    """Read which category an event is about; None where it may be any."""
    try:
        event = json.loads(data)
    except ValueError:
        return None
    named = event.get("request_category") if isinstance(event, dict) else None
    return named if named in get_args(Category) else None


class _Line:
    """A stream that one thread opens and reads, and another ends at any moment, maybe before it is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stream: urllib3.BaseHTTPResponse | None = None
        self._over = False

    def hold(self, stream: urllib3.BaseHTTPResponse) -> None:
        """Keep the stream that was opened, to end it when asked."""
        with self._lock:
            self._stream = stream
            self._end()

    def hang_up(self) -> None:
        """Have the stream end for whoever reads it, now or when it is opened."""
        with self._lock:
            self._over = True
            self._end()

    def _end(self) -> None:
        if self._over and isinstance(self._stream, urllib3.HTTPResponse):
            with suppress(OSError, ValueError, RuntimeError):  # closed already
                self._stream.shutdown()
