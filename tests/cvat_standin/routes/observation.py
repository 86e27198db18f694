"""`/_standin/` functions, requests, log and counters: see what happened. No authentication: a test server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.cvat_standin.control_models import FunctionRecord, RequestRecord
from tests.cvat_standin.queue import AnnotationRequest
from tests.cvat_standin.replies import standin


async def list_functions(request: Request) -> Response:
    """All functions, oldest first."""
    state = standin(request)
    listed = {function.id for function in state.functions.listed(state.clock.now())}
    records = [
        FunctionRecord(
            id=function.id,
            name=function.name,
            provider=function.provider,
            kind=function.kind,
            visibility=function.visibility,
            supported_shape_types=list(function.supported_shape_types),
            owner=function.owner.username,
            organization=function.organization.slug if function.organization else None,
            listed=function.id in listed,
            watchers=state.watchers.count(function.id),
        )
        for function in state.functions
    ]
    return JSONResponse([record.model_dump() for record in records])


async def list_requests(request: Request) -> Response:
    """All annotation requests, oldest first."""
    return JSONResponse([request_record(item).model_dump() for item in standin(request).requests()])


async def read_log(request: Request) -> Response:
    """The log entries of a route (`?route=POST /api/functions/{id}/run`), or all."""
    entries = standin(request).journal.on_route(request.query_params.get("route"))
    return JSONResponse([entry.model_dump(mode="json") for entry in entries])


async def read_counters(request: Request) -> Response:
    """Calls by method, path and status."""
    return JSONResponse(standin(request).journal.counters())


def request_record(item: AnnotationRequest) -> RequestRecord:
    """A request as the control routes show it."""
    return RequestRecord(
        key=item.key,
        id=item.id,
        function_id=item.function_id,
        category=item.category,
        params=item.params,
        status=item.status,
        agent_id=item.agent_id,
        handed_out=item.handed_out,
        progress=item.progress,
        exc_info=item.exc_info,
        result=item.result,
    )


ROUTES = [
    Route("/_standin/functions", list_functions, methods=["GET"]),
    Route("/_standin/requests", list_requests, methods=["GET"]),
    Route("/_standin/log", read_log, methods=["GET"]),
    Route("/_standin/counters", read_counters, methods=["GET"]),
]
