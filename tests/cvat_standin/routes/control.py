"""`/_standin/`: make the world, make it misbehave, see what happened. No authentication: a test server."""

from __future__ import annotations

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.cvat_standin.control_models import (
    Advance,
    Assignees,
    Created,
    FaultState,
    Forgetting,
    FunctionRecord,
    ListDelay,
    MemberSpec,
    OrganizationSpec,
    PuttingBack,
    RawRequest,
    RedeliveryPolicy,
    RequestRecord,
    StreamCut,
    StreamSettings,
    TaskSpec,
    TokenRecord,
    TokenSpec,
    UserChange,
    UserSpec,
)
from tests.cvat_standin.faults import Fault
from tests.cvat_standin.population import find_organization, make_organization, make_task, make_user
from tests.cvat_standin.queue import AnnotationRequest, Redelivery
from tests.cvat_standin.replies import no_content, standin

_FAULT: TypeAdapter[Fault] = TypeAdapter(Fault)


async def health(_request: Request) -> Response:
    """The server runs."""
    return JSONResponse({"status": "ok"})


async def add_user(request: Request) -> Response:
    """Make a user."""
    user = make_user(standin(request), UserSpec.model_validate_json(await request.body()))
    return _made(user.id)


async def change_user(request: Request) -> Response:
    """Change a password, or deactivate an account."""
    change = UserChange.model_validate_json(await request.body())
    accounts = standin(request).accounts
    user = accounts.user_named(request.path_params["username"])
    if change.password is not None:
        accounts.set_password(user, change.password)
    if change.active is not None:
        user.active = change.active
    return no_content()


async def add_token(request: Request) -> Response:
    """Make an access token."""
    spec = TokenSpec.model_validate_json(await request.body())
    state = standin(request)
    token = state.accounts.add_token(
        state.accounts.user_named(request.path_params["username"]),
        now=state.clock.date(),
        name=spec.name,
        read_only=spec.read_only,
        value=spec.value,
    )
    return JSONResponse(TokenRecord(id=token.id, value=token.value).model_dump(), 201)


async def revoke_tokens(request: Request) -> Response:
    """Revoke all access tokens of a user."""
    accounts = standin(request).accounts
    accounts.revoke_tokens(accounts.user_named(request.path_params["username"]))
    return no_content()


async def end_sessions(request: Request) -> Response:
    """End all password sessions of a user."""
    accounts = standin(request).accounts
    accounts.end_sessions(accounts.user_named(request.path_params["username"]))
    return no_content()


async def add_organization(request: Request) -> Response:
    """Make an organization."""
    made = make_organization(standin(request), OrganizationSpec.model_validate_json(await request.body()))
    return _made(made.id)


async def set_member(request: Request) -> Response:
    """Add a member to an organization, or change a role."""
    state = standin(request)
    role = MemberSpec.model_validate_json(await request.body()).role
    user = state.accounts.user_named(request.path_params["username"])
    find_organization(state, request.path_params["slug"]).roles[user.id] = role
    return no_content()


async def remove_member(request: Request) -> Response:
    """Remove a member from an organization."""
    state = standin(request)
    user = state.accounts.user_named(request.path_params["username"])
    find_organization(state, request.path_params["slug"]).roles.pop(user.id, None)
    return no_content()


async def add_task(request: Request) -> Response:
    """Make a task: the spec is JSON in the query parameter `spec`, the body is a zip archive of images."""
    spec = TaskSpec.model_validate_json(request.query_params.get("spec", "{}"))
    return _made(make_task(standin(request), spec, await request.body()).id)


async def assign_task(request: Request) -> Response:
    """Say who may see a task besides its owner."""
    accounts = standin(request).accounts
    usernames = Assignees.model_validate_json(await request.body()).usernames
    task = standin(request).tasks.get(request.path_params["id"])
    task.assignees = [accounts.user_named(username) for username in usernames]
    return no_content()


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


async def forget_function(request: Request) -> Response:
    """Lose a function."""
    how = Forgetting.model_validate_json(await request.body())
    standin(request).remove_function(request.path_params["id"], end_streams=how.end_streams)
    return no_content()


async def cut_streams(request: Request) -> Response:
    """End the event streams of a function's queue."""
    how = StreamCut.model_validate_json(await request.body())
    standin(request).watchers.cut(request.path_params["id"], abrupt=how.abrupt)
    return no_content()


async def list_requests(request: Request) -> Response:
    """All annotation requests, oldest first."""
    return JSONResponse([_record(item).model_dump() for item in standin(request).requests()])


async def submit_request(request: Request) -> Response:
    """Put anything into a queue."""
    raw = RawRequest.model_validate_json(await request.body())
    state = standin(request)
    requester = state.accounts.user_named(raw.requester)
    made = state.submit(raw.function_id, raw.category, raw.params, requester_id=requester.id)
    return JSONResponse(_record(made).model_dump(), 201)


async def put_back_request(request: Request) -> Response:
    """Take a request from its agent and offer it again at once."""
    how = PuttingBack.model_validate_json(await request.body())
    state = standin(request)
    item = state.request(request.path_params["request"])
    state.put_back(item, new_id=how.new_id)
    return JSONResponse(_record(item).model_dump())


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
    return no_content()


async def add_fault(request: Request) -> Response:
    """Set a fault."""
    return _made(standin(request).faults.add(_FAULT.validate_json(await request.body())))


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


async def read_log(request: Request) -> Response:
    """The log entries of a route (`?route=POST /api/functions/{id}/run`), or all."""
    entries = standin(request).journal.on_route(request.query_params.get("route"))
    return JSONResponse([entry.model_dump(mode="json") for entry in entries])


async def read_counters(request: Request) -> Response:
    """Calls by method, path and status."""
    return JSONResponse(standin(request).journal.counters())


def _made(made_id: int) -> Response:
    return JSONResponse(Created(id=made_id).model_dump(), 201)


def _record(item: AnnotationRequest) -> RequestRecord:
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
    Route("/_standin/health", health, methods=["GET"]),
    Route("/_standin/users", add_user, methods=["POST"]),
    Route("/_standin/users/{username}", change_user, methods=["PATCH"]),
    Route("/_standin/users/{username}/tokens", add_token, methods=["POST"]),
    Route("/_standin/users/{username}/tokens", revoke_tokens, methods=["DELETE"]),
    Route("/_standin/users/{username}/sessions", end_sessions, methods=["DELETE"]),
    Route("/_standin/organizations", add_organization, methods=["POST"]),
    Route("/_standin/organizations/{slug}/members/{username}", set_member, methods=["PUT"]),
    Route("/_standin/organizations/{slug}/members/{username}", remove_member, methods=["DELETE"]),
    Route("/_standin/tasks", add_task, methods=["POST"]),
    Route("/_standin/tasks/{id:int}/assignees", assign_task, methods=["PUT"]),
    Route("/_standin/functions", list_functions, methods=["GET"]),
    Route("/_standin/functions/{id:int}/forget", forget_function, methods=["POST"]),
    Route("/_standin/functions/{id:int}/cut-streams", cut_streams, methods=["POST"]),
    Route("/_standin/requests", list_requests, methods=["GET"]),
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
    Route("/_standin/log", read_log, methods=["GET"]),
    Route("/_standin/counters", read_counters, methods=["GET"]),
]
