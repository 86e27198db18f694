"""`/api/tasks`, `/api/jobs` and `/api/labels`: what an agent reads to see a frame."""

from __future__ import annotations

import hashlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.cvat_standin.access import may_see_task, require_task
from tests.cvat_standin.errors import refused
from tests.cvat_standin.identity import identify
from tests.cvat_standin.listing import Fields, answer_list
from tests.cvat_standin.media import read_media
from tests.cvat_standin.replies import Reply, base_url, no_content, standin
from tests.cvat_standin.representations import date
from tests.cvat_standin.task_representations import data_meta, job, label, task
from tests.cvat_standin.tasks import Job, Task
from tests.cvat_standin.wire import MetaBody, parse

_FIELDS: Fields = {"id": lambda item: item["id"], "name": lambda item: item["name"]}
_JOB_FIELDS: Fields = {"id": lambda item: item["id"], "task_name": lambda item: item["task_name"]}


async def list_tasks(request: Request) -> Response:
    """The tasks of the workspace that the user may see."""
    viewer = identify(request)
    base = base_url(request)
    items = [
        task(item, base)
        for item in standin(request).tasks
        if viewer.in_workspace(item) and may_see_task(viewer.user, item)
    ]
    return Reply(
        answer_list(items, request.query_params, f"{base}/api/tasks", fields=_FIELDS, searched=("name",))
    )


async def retrieve_task(request: Request) -> Response:
    """One task."""
    return Reply(task(_visible_task(request), base_url(request)))


async def delete_task(request: Request) -> Response:
    """Delete a task."""
    standin(request).tasks.remove(_visible_task(request).id)
    return no_content()


async def retrieve_task_meta(request: Request) -> Response:
    """Sizes and names of the frames, and which are deleted."""
    item = _visible_task(request)
    return Reply(data_meta(item, 0, len(item.frames) - 1))


async def update_task_meta(request: Request) -> Response:
    """Delete and restore frames."""
    item = _visible_task(request)
    body = parse(MetaBody, await request.body())
    state = standin(request)
    state.tasks.delete_frames(item, body.deleted_frames, now=state.clock.date())
    return Reply(data_meta(item, 0, len(item.frames) - 1))


async def retrieve_task_data(request: Request) -> Response:
    """A frame or a chunk of a task."""
    return _media(request, _visible_task(request), first=0)


async def list_jobs(request: Request) -> Response:
    """The jobs of a task, or of all tasks that the user may see."""
    viewer = identify(request)
    base = base_url(request)
    wanted = request.query_params.get("task_id")
    items = [
        job(part, of, base)
        for of in standin(request).tasks
        if viewer.in_workspace(of) and may_see_task(viewer.user, of) and wanted in {None, str(of.id)}
        for part in of.jobs
    ]
    return Reply(
        answer_list(
            items, request.query_params, f"{base}/api/jobs", fields=_JOB_FIELDS, searched=("task_name",)
        )
    )


async def retrieve_job(request: Request) -> Response:
    """One job."""
    of, part = _visible_job(request)
    return Reply(job(part, of, base_url(request)))


async def retrieve_job_meta(request: Request) -> Response:
    """Sizes and names of the job's frames, and which are deleted."""
    of, part = _visible_job(request)
    return Reply(data_meta(of, part.start, part.stop))


async def retrieve_job_data(request: Request) -> Response:
    """A frame by the task's number; a chunk by `index`, from the job's first frame, or the task's number."""
    of, part = _visible_job(request)
    by_index = request.query_params.get("type") == "chunk" and "index" in request.query_params
    return _media(
        request, of, first=part.start if by_index else 0, number_name="index" if by_index else "number"
    )


async def list_labels(request: Request) -> Response:
    """The labels of a task or a job."""
    viewer = identify(request)
    tasks = standin(request).tasks
    base = base_url(request)
    if "job_id" in request.query_params:
        of, _ = tasks.of_job(_number(request, "job_id"))
        require_task(viewer.user, of)
        owners = [of]
    elif "task_id" in request.query_params:
        of = tasks.get(_number(request, "task_id"))
        require_task(viewer.user, of)
        owners = [of]
    else:
        owners = [of for of in tasks if viewer.in_workspace(of) and may_see_task(viewer.user, of)]
    items = [label(item, of) for of in owners for item in of.labels]
    return Reply(
        answer_list(items, request.query_params, f"{base}/api/labels", fields=_FIELDS, searched=("name",))
    )


def _visible_task(request: Request) -> Task:
    viewer = identify(request)
    item = standin(request).tasks.get(request.path_params["id"])
    require_task(viewer.user, item)
    return item


def _visible_job(request: Request) -> tuple[Task, Job]:
    viewer = identify(request)
    of, part = standin(request).tasks.of_job(request.path_params["id"])
    require_task(viewer.user, of)
    return of, part


def _number(request: Request, name: str) -> int:
    text = request.query_params[name]
    if not text.isdecimal():
        raise refused(f"{name}: A valid integer is required.")
    return int(text)


def _media(request: Request, of: Task, *, first: int, number_name: str = "number") -> Response:
    query = request.query_params
    kind = query.get("type", "")
    number = _number(request, number_name) if number_name in query else None
    data, media_type = read_media(
        of, kind=kind, number=number, quality=query.get("quality", "compressed"), first=first
    )
    headers = {}
    if kind == "chunk":
        headers = {
            "X-Checksum": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            "X-Updated-Date": date(of.created),
        }
    return Response(data, media_type=media_type, headers=headers)


ROUTES = [
    Route("/api/tasks", list_tasks, methods=["GET"]),
    Route("/api/tasks/{id:int}", retrieve_task, methods=["GET"]),
    Route("/api/tasks/{id:int}", delete_task, methods=["DELETE"]),
    Route("/api/tasks/{id:int}/data/meta", retrieve_task_meta, methods=["GET"]),
    Route("/api/tasks/{id:int}/data/meta", update_task_meta, methods=["PATCH"]),
    Route("/api/tasks/{id:int}/data/", retrieve_task_data, methods=["GET"]),
    Route("/api/jobs", list_jobs, methods=["GET"]),
    Route("/api/jobs/{id:int}", retrieve_job, methods=["GET"]),
    Route("/api/jobs/{id:int}/data/meta", retrieve_job_meta, methods=["GET"]),
    Route("/api/jobs/{id:int}/data", retrieve_job_data, methods=["GET"]),
    Route("/api/labels", list_labels, methods=["GET"]),
]
