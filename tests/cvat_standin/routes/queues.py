"""`/api/functions/queues/function:<id>/`: what agents call."""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.cvat_standin.access import require_function_control
from tests.cvat_standin.errors import not_found
from tests.cvat_standin.identity import identify
from tests.cvat_standin.replies import Reply, connection_cutter, log_entry, no_content, standin
from tests.cvat_standin.wire import AcquireBody, AgentBody, CompleteBody, FailBody, UpdateBody, parse

_AgentBody = TypeVar("_AgentBody", bound=AgentBody)
_QUEUE = "/api/functions/queues/{queue}"


async def watch(request: Request) -> Response:
    """The event stream of the queue."""
    function_id = _served_function(request)
    stream = standin(request).watchers.stream(function_id, connection_cutter(request.scope))
    return StreamingResponse(
        stream,
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def acquire(request: Request) -> Response:
    """Hand out the next request of a category, or null."""
    function_id = _served_function(request)
    body = _noted(request, parse(AcquireBody, await request.body()))
    assigned = standin(request).acquire(function_id, body.agent_id, body.request_category)
    if assigned is None:
        return Reply({"ar_assignment": None})
    return Reply(
        {"ar_assignment": {"ar_id": assigned.id, "ar_params": assigned.params, "function_id": function_id}}
    )


async def update(request: Request) -> Response:
    """Note progress."""
    function_id = _served_function(request)
    body = _noted(request, parse(UpdateBody, await request.body()))
    standin(request).update(function_id, request.path_params["request"], body.agent_id, body.progress)
    return no_content()


async def complete(request: Request) -> Response:
    """Take the answer, and give it to who waits for it."""
    function_id = _served_function(request)
    body = _noted(request, parse(CompleteBody, await request.body()))
    standin(request).complete(function_id, request.path_params["request"], body)
    return no_content()


async def fail(request: Request) -> Response:
    """Take the sentence that says why there is no answer."""
    function_id = _served_function(request)
    body = _noted(request, parse(FailBody, await request.body()))
    standin(request).fail(function_id, request.path_params["request"], body.agent_id, body.exc_info)
    return no_content()


def _served_function(request: Request) -> int:
    viewer = identify(request)
    prefix, _, number = request.path_params["queue"].partition(":")
    if prefix != "function" or not number.isdecimal():
        raise not_found("Queue")
    function = standin(request).functions.get(int(number))
    require_function_control(viewer.user, function)
    return function.id


def _noted(request: Request, body: _AgentBody) -> _AgentBody:
    log_entry(request).agent_id = body.agent_id
    return body


ROUTES = [
    Route(f"{_QUEUE}/watch", watch, methods=["GET"]),
    Route(f"{_QUEUE}/requests/acquire", acquire, methods=["POST"]),
    Route(f"{_QUEUE}/requests/{{request}}/update", update, methods=["POST"]),
    Route(f"{_QUEUE}/requests/{{request}}/complete", complete, methods=["POST"]),
    Route(f"{_QUEUE}/requests/{{request}}/fail", fail, methods=["POST"]),
]
