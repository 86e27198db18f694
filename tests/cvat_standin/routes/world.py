"""`/_standin/` users, organizations and tasks: make the world. No authentication: a test server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.cvat_standin.control_models import (
    Assignees,
    Created,
    MemberSpec,
    OrganizationSpec,
    TaskSpec,
    TokenRecord,
    TokenSpec,
    UserChange,
    UserSpec,
)
from tests.cvat_standin.population import find_organization, make_organization, make_task, make_user
from tests.cvat_standin.replies import no_content, standin


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


def _made(made_id: int) -> Response:
    return JSONResponse(Created(id=made_id).model_dump(), 201)


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
]
