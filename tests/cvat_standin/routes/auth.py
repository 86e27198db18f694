"""`/api/auth/`: password sessions and personal access tokens."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cvat_standin.accounts import AccessToken
from tests.cvat_standin.errors import not_found
from tests.cvat_standin.identity import identify
from tests.cvat_standin.listing import answer_list
from tests.cvat_standin.replies import Reply, base_url, no_content, standin
from tests.cvat_standin.representations import access_token
from tests.cvat_standin.wire import AccessTokenBody, LoginBody, parse


async def login(request: Request) -> Response:
    """Start a session: two cookies, and an API key in the body."""
    body = parse(LoginBody, await request.body())
    session = standin(request).accounts.login(body.username or body.email, body.password)
    reply = Reply({"key": session.key})
    reply.set_cookie("sessionid", session.session_id, httponly=True, samesite="lax", path="/")
    reply.set_cookie("csrftoken", session.csrf_token, samesite="lax", path="/")
    return reply


async def logout(request: Request) -> Response:
    """End the session of the cookie."""
    standin(request).accounts.logout(request.cookies.get("sessionid", ""))
    reply = Reply({"detail": "Successfully logged out."})
    reply.delete_cookie("sessionid")
    return reply


async def list_tokens(request: Request) -> Response:
    """The user's own tokens, without their values."""
    viewer = identify(request)
    base = base_url(request)
    tokens = [
        access_token(token, base)
        for token in standin(request).accounts.tokens.values()
        if token.owner is viewer.user
    ]
    fields = {"id": lambda item: item["id"], "name": lambda item: item["name"]}
    return Reply(
        answer_list(
            tokens, request.query_params, f"{base}/api/auth/access_tokens", fields=fields, searched=("name",)
        )
    )


async def create_token(request: Request) -> Response:
    """A new token of the user; the only answer with its value."""
    viewer = identify(request)
    body = parse(AccessTokenBody, await request.body())
    state = standin(request)
    token = state.accounts.add_token(
        viewer.user,
        now=state.clock.date(),
        name=body.name,
        read_only=body.read_only,
        expires=body.expiry_date,
    )
    return Reply(access_token(token, base_url(request), with_value=True), 201)


async def retrieve_own_token(request: Request) -> Response:
    """The token that this call is authenticated by."""
    identify(request)
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    token = standin(request).accounts.token_of_value(value) if scheme == "Bearer" else None
    if token is None:
        raise not_found("AccessToken")
    return Reply(access_token(token, base_url(request)))


async def retrieve_token(request: Request) -> Response:
    """One of the user's tokens."""
    return Reply(access_token(_own_token(request), base_url(request)))


async def delete_token(request: Request) -> Response:
    """Revoke one of the user's tokens."""
    token = _own_token(request)
    del standin(request).accounts.tokens[token.id]
    return no_content()


def _own_token(request: Request) -> AccessToken:
    viewer = identify(request)
    token = standin(request).accounts.tokens.get(request.path_params["id"])
    if token is None or token.owner is not viewer.user:
        raise not_found("AccessToken")
    return token


ROUTES = [
    Route("/api/auth/login", login, methods=["POST"]),
    Route("/api/auth/logout", logout, methods=["POST"]),
    Route("/api/auth/access_tokens", list_tokens, methods=["GET"]),
    Route("/api/auth/access_tokens", create_token, methods=["POST"]),
    Route("/api/auth/access_tokens/self", retrieve_own_token, methods=["GET"]),
    Route("/api/auth/access_tokens/{id:int}", retrieve_token, methods=["GET"]),
    Route("/api/auth/access_tokens/{id:int}", delete_token, methods=["DELETE"]),
]
