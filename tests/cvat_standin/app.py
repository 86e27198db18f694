"""The ASGI application: routes, errors, surroundings."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from tests.cvat_standin.errors import ApiError
from tests.cvat_standin.middleware import Surroundings
from tests.cvat_standin.replies import Reply, error_reply
from tests.cvat_standin.routes import (
    auth,
    functions,
    misbehaviour,
    observation,
    people,
    queues,
    requests,
    tasks,
    world,
)
from tests.cvat_standin.state import StandIn

_NO_SUCH_PAGE = (
    "<!doctype html><html><head><title>Not Found</title></head><body><h1>Not Found</h1></body></html>"
)


def make_app(standin: StandIn) -> Starlette:
    """The application on a given state."""
    routes = [
        *auth.ROUTES,
        *people.ROUTES,
        *requests.ROUTES,
        *queues.ROUTES,
        *functions.ROUTES,
        *tasks.ROUTES,
        *world.ROUTES,
        *misbehaviour.ROUTES,
        *observation.ROUTES,
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Surroundings, standin=standin)],
        exception_handlers={
            ApiError: error_reply,
            HTTPException: _http_error,
            ValidationError: _control_error,
        },
    )
    app.router.redirect_slashes = False  # CVAT's paths mean what they say
    app.state.standin = standin
    return app


def _http_error(request: Request, error: Exception) -> Response:
    """What no route answers: Django's HTML page for an unknown path, JSON for an unknown method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return Reply({"detail": f'Method "{request.method}" not allowed.'}, 405, error.headers)
    return HTMLResponse(_NO_SUCH_PAGE, error.status_code)


def _control_error(_request: Request, error: Exception) -> Response:
    """A control call that the test got wrong."""
    assert isinstance(error, ValidationError)
    return JSONResponse({"detail": str(error)}, 400)
