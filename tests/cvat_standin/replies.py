"""Answers in CVAT's media type, and what every route needs from a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.cvat_standin.errors import ApiError
from tests.cvat_standin.journal import LogEntry
from tests.cvat_standin.state import StandIn


class Reply(JSONResponse):
    """JSON under CVAT's vendor media type."""

    media_type = "application/vnd.cvat+json"


def no_content() -> Response:
    """204."""
    return Response(status_code=204)


def error_reply(_request: Request, error: Exception) -> Response:
    """An `ApiError` as it goes out."""
    assert isinstance(error, ApiError)
    return Reply(error.body, error.status, error.headers)


def standin(request: Request) -> StandIn:
    """The server's state."""
    return cast("StandIn", request.app.state.standin)


def log_entry(request: Request) -> LogEntry:
    """The log entry of this call."""
    return cast("LogEntry", request.scope["state"]["log_entry"])


def connection_cutter(scope: Mapping[str, Any]) -> Callable[[], Awaitable[None]]:
    """What cuts the connection of this call."""
    return cast("Callable[[], Awaitable[None]]", scope["state"]["cut_connection"])


def base_url(request: Request) -> str:
    """The server's address as the client wrote it, without a slash at the end."""
    return str(request.base_url).rstrip("/")
