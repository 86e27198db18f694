"""What annotators ask of functions: one request at a time with `run`, and batches.

The form of what `run` answers is not in the OpenAPI document (which names the schema `Function`). Here it is
what the agent completed the request with: `{"states": [...]}` or `{"states": [...], "shapes": [...]}`. A
failure is an HTTP 500 with the agent's sentence in `detail`.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cvat_standin.access import Viewer, require_function_use, require_task
from tests.cvat_standin.errors import ApiError, invalid, not_found, refused
from tests.cvat_standin.functions import Function
from tests.cvat_standin.identity import identify
from tests.cvat_standin.queue import AnnotationRequest
from tests.cvat_standin.replies import Reply, no_content, standin
from tests.cvat_standin.representations import annotation_request
from tests.cvat_standin.wire import BatchBody, RequestParams, parse

_TYPES_OF_KIND = {
    "tracker": {"init_tracking", "track"},
    "detector": {"annotate_task", "annotate_frame"},
    "interactor": {"interact"},
}


async def run(request: Request) -> Response:
    """Ask the function, and answer once an agent did."""
    viewer = identify(request)
    state = standin(request)
    function = state.functions.get(request.path_params["id"])
    params = parse(RequestParams, await request.body())
    _check(request, viewer, function, params)
    asked = state.submit(function.id, "interactive", params.as_sent(), requester_id=viewer.user.id)
    await state.ended(asked)
    if asked.status == "finished":
        return Reply(asked.result)
    if asked.status == "failed":
        raise ApiError(500, {"detail": asked.exc_info or "Unknown error"})
    raise ApiError(503, {"detail": "The server is shutting down."})


async def create(request: Request) -> Response:
    """Ask the function, and answer at once."""
    viewer = identify(request)
    state = standin(request)
    body = parse(BatchBody, await request.body())
    function = state.functions.get(body.function)
    _check(request, viewer, function, body)
    params = body.model_dump(exclude_none=True, exclude={"function"})
    asked = state.submit(function.id, "batch", params, requester_id=viewer.user.id)
    return Reply(annotation_request(asked, state.clock), 201)


async def list_requests(request: Request) -> Response:
    """The user's batch requests; not paginated."""
    viewer = identify(request)
    state = standin(request)
    return Reply(
        [annotation_request(asked, state.clock) for asked in state.requests() if _is_own(viewer, asked)]
    )


async def retrieve(request: Request) -> Response:
    """One of the user's batch requests."""
    return Reply(annotation_request(_own(request), standin(request).clock))


async def destroy(request: Request) -> Response:
    """Cancel one of the user's batch requests."""
    asked = _own(request)
    standin(request).withdraw(asked)
    return no_content()


def _check(request: Request, viewer: Viewer, function: Function, params: RequestParams) -> None:
    require_function_use(viewer.user, function)
    if params.type not in _TYPES_OF_KIND.get(function.kind, set()):
        raise invalid("type", f"A function of kind {function.kind} does not answer {params.type}.")
    task = standin(request).tasks.get(params.task)
    require_task(viewer.user, task)
    if params.job is not None and params.job not in {job.id for job in task.jobs}:
        raise invalid("job", "The job is not one of the task's.")
    if params.frame is not None and (params.frame >= len(task.frames) or params.frame in task.deleted_frames):
        raise refused(f"Incorrect requested frame number: {params.frame}")
    for shape in params.shapes or []:
        if shape.type not in function.supported_shape_types:
            raise invalid("shapes", f"The function does not support shapes of type {shape.type}.")


def _is_own(viewer: Viewer, asked: AnnotationRequest) -> bool:
    return asked.category == "batch" and (viewer.user.superuser or asked.requester_id == viewer.user.id)


def _own(request: Request) -> AnnotationRequest:
    viewer = identify(request)
    asked = standin(request).request(request.path_params["request"])
    if not _is_own(viewer, asked):
        raise not_found("AnnotationRequest")
    return asked


ROUTES = [
    Route("/api/functions/{id:int}/run", run, methods=["POST"]),
    Route("/api/functions/requests/", list_requests, methods=["GET"]),
    Route("/api/functions/requests/", create, methods=["POST"]),
    Route("/api/functions/requests/{request}", retrieve, methods=["GET"]),
    Route("/api/functions/requests/{request}", destroy, methods=["DELETE"]),
]
