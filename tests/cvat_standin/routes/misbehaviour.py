"""`/_standin/` faults, queues, lists, streams and time: make the server misbehave. No authentication."""

from __future__ import annotations

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.cvat_standin.control_models import (
    Advance,
    Created,
    FaultState,
    Forgetting,
    ListDelay,
    PuttingBack,
    RawRequest,
    RedeliveryPolicy,
    StreamCut,
    StreamSettings,
)
from tests.cvat_standin.faults import Fault
from tests.cvat_standin.queue import Redelivery
from tests.cvat_standin.replies import no_content, standin
from tests.cvat_standin.routes.observation import request_record

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


async def forget_function(request: Request) -> Response:
    """Lose a function."""
    how = Forgetting.model_validate_json(await request.body())
    standin(request).remove_function(request.path_params["id"], end_streams=how.end_streams)
    return no_content()


async def restore_function(request: Request) -> Response:
    """Have a lost function again, with an empty queue."""
    standin(request).functions.restore(request.path_params["id"])
    return no_content()


async def cut_streams(request: Request) -> Response:
    """End the event streams of a function's queue."""
    how = StreamCut.model_validate_json(await request.body())
    standin(request).watchers.cut(request.path_params["id"], abrupt=how.abrupt)
    return no_content()


async def submit_request(request: Request) -> Response:
    """Put anything into a queue."""
    raw = RawRequest.model_validate_json(await request.body())
    state = standin(request)
    requester = state.accounts.user_named(raw.requester)
    made = state.submit(raw.function_id, raw.category, raw.params, requester_id=requester.id)
    return JSONResponse(request_record(made).model_dump(), 201)


async def put_back_request(request: Request) -> Response:
    """Take a request from its agent and offer it again at once."""
    how = PuttingBack.model_validate_json(await request.body())
    state = standin(request)
    item = state.request(request.path_params["request"])
    state.put_back(item, new_id=how.new_id)
    return JSONResponse(request_record(item).model_dump())


async def set_redelivery(request: Request) -> Response:
    """Say when held requests are handed out again."""
    policy = RedeliveryPolicy.model_validate_json(await request.body())
    state = standin(request)
    state.redelivery = Redelivery(**policy.model_dump())
    state.watch_over_hands()
    return no_content()


async def set_list_delay(request: Request) -> Response:
    """Keep functions made from now on out of lists for a while."""
    standin(request).functions.list_delay = ListDelay.model_validate_json(await request.body()).seconds
    return no_content()


async def release_lists(request: Request) -> Response:
    """Show what lists lack, and let them lack nothing any more."""
    standin(request).functions.release()
    return no_content()


async def set_streams(request: Request) -> Response:
    """Say what event streams tell."""
    settings = StreamSettings.model_validate_json(await request.body())
    watchers = standin(request).watchers
    watchers.retry_milliseconds = settings.retry_milliseconds
    watchers.keep_alive_seconds = settings.keep_alive_seconds
    watchers.announce = settings.announce
    return no_content()


async def add_fault(request: Request) -> Response:
    """Set a fault."""
    made = standin(request).faults.add(_FAULT.validate_json(await request.body()))
    return JSONResponse(Created(id=made).model_dump(), 201)


async def fault_state(request: Request) -> Response:
    """How often a fault struck."""
    taken = standin(request).faults.taken(request.path_params["id"])
    return JSONResponse(FaultState(taken=taken).model_dump())


async def clear_faults(request: Request) -> Response:
    """Remove one fault or all, and release who stalls."""
    standin(request).faults.clear(request.path_params.get("id"))
    return no_content()


async def release_stalls(request: Request) -> Response:
    """Let all calls that stall go on."""
    standin(request).faults.release()
    return no_content()


async def advance_clock(request: Request) -> Response:
    """Move the server's time forward."""
    standin(request).clock.advance(Advance.model_validate_json(await request.body()).seconds)
    return no_content()


ROUTES = [
    Route("/_standin/functions/{id:int}/forget", forget_function, methods=["POST"]),
    Route("/_standin/functions/{id:int}/restore", restore_function, methods=["POST"]),
    Route("/_standin/functions/{id:int}/cut-streams", cut_streams, methods=["POST"]),
    Route("/_standin/requests", submit_request, methods=["POST"]),
    Route("/_standin/requests/{request}/put-back", put_back_request, methods=["POST"]),
    Route("/_standin/redelivery", set_redelivery, methods=["PUT"]),
    Route("/_standin/lists", set_list_delay, methods=["PUT"]),
    Route("/_standin/lists/release", release_lists, methods=["POST"]),
    Route("/_standin/streams", set_streams, methods=["PUT"]),
    Route("/_standin/faults", add_fault, methods=["POST"]),
    Route("/_standin/faults", clear_faults, methods=["DELETE"]),
    Route("/_standin/faults/release", release_stalls, methods=["POST"]),
    Route("/_standin/faults/{id:int}", fault_state, methods=["GET"]),
    Route("/_standin/faults/{id:int}", clear_faults, methods=["DELETE"]),
    Route("/_standin/clock/advance", advance_clock, methods=["POST"]),
]
