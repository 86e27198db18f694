"""`/api/functions`: register, list, retrieve, delete."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cvat_standin.access import may_use_function, require_function_control, require_function_use
from tests.cvat_standin.errors import invalid
from tests.cvat_standin.functions import Function
from tests.cvat_standin.identity import identify
from tests.cvat_standin.listing import Fields, answer_list
from tests.cvat_standin.replies import Reply, base_url, no_content, standin
from tests.cvat_standin.representations import function
from tests.cvat_standin.wire import FunctionBody, parse

_OPTIONS = {"url", "min_pos_points", "min_neg_points", "startswith_box", "startswith_box_optional"}
_FIELDS: Fields = {
    "id": lambda item: item["id"],
    "name": lambda item: item["name"],
    "owner": lambda item: item["owner"]["username"],
    "provider": lambda item: item["provider"],
    "type": lambda item: item["kind"],
    "labels": lambda item: [label["name"] for label in item["labels_v2"]],
    "updated_date": lambda item: item["updated_date"],
}


async def create(request: Request) -> Response:
    """Register a function in the workspace of the call. Posted twice, it is there twice."""
    viewer = identify(request)
    body = parse(FunctionBody, await request.body())
    if body.kind == "tracker" and not body.supported_shape_types:
        raise invalid("supported_shape_types", "This field is required.")
    state = standin(request)
    made = Function(
        id=state.functions.next_id(),
        provider=body.provider,
        name=body.name,
        kind=body.kind,
        visibility=body.visibility,
        supported_shape_types=tuple(body.supported_shape_types),
        owner=viewer.user,
        organization=viewer.organization,
        created=state.clock.date(),
        labels=tuple(body.labels_v2),
        options=body.model_dump(include=_OPTIONS, exclude_none=True),
        listed_from=state.functions.listed_from(state.clock.now()),
    )
    state.functions.add(made)
    return Reply(function(made, base_url(request)), 201)


async def list_functions(request: Request) -> Response:
    """The functions of the workspace that the user may use."""
    viewer = identify(request)
    state = standin(request)
    base = base_url(request)
    items = [
        function(item, base)
        for item in state.functions.listed(state.clock.now())
        if viewer.in_workspace(item) and may_use_function(viewer.user, item)
    ]
    return Reply(
        answer_list(
            items,
            request.query_params,
            f"{base}/api/functions",
            fields=_FIELDS,
            searched=("labels", "name", "owner", "provider", "type"),
        )
    )


async def retrieve(request: Request) -> Response:
    """One function."""
    viewer = identify(request)
    item = standin(request).functions.get(request.path_params["id"])
    require_function_use(viewer.user, item)
    return Reply(function(item, base_url(request)))


async def destroy(request: Request) -> Response:
    """Delete a function; its queue and event streams end."""
    viewer = identify(request)
    state = standin(request)
    item = state.functions.get(request.path_params["id"])
    require_function_control(viewer.user, item)
    state.remove_function(item.id)
    return no_content()


ROUTES = [
    Route("/api/functions", list_functions, methods=["GET"]),
    Route("/api/functions", create, methods=["POST"]),
    Route("/api/functions/{id:int}", retrieve, methods=["GET"]),
    Route("/api/functions/{id:int}", destroy, methods=["DELETE"]),
]
