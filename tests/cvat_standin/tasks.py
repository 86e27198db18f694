"""Tasks, their jobs, labels and frames: plain state, no HTTP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from PIL import Image, UnidentifiedImageError

from tests.cvat_standin.accounts import Organization, User
from tests.cvat_standin.errors import not_found, refused


@dataclass(frozen=True, slots=True)
class Frame:
    """One image as it was uploaded."""

    name: str
    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Label:
    """A label of one task."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Job:
    """A run of a task's frames; `start` and `stop` are inclusive."""

    id: int
    start: int
    stop: int


@dataclass(slots=True)
class Task:
    """A task with all its data."""

    id: int
    name: str
    owner: User
    organization: Organization | None
    assignees: list[User]
    frames: tuple[Frame, ...] = field(repr=False)
    labels: tuple[Label, ...]
    jobs: tuple[Job, ...]
    chunk_size: int
    from_video: bool
    created: datetime
    updated: datetime
    deleted_frames: set[int] = field(default_factory=set)


class Tasks:
    """All tasks of the server; ids of tasks, jobs and labels only grow."""

    def __init__(self) -> None:
        self._task_ids = count(1)
        self._job_ids = count(1)
        self._label_ids = count(1)
        self._tasks: dict[int, Task] = {}

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._tasks.values()))

    def add(
        self,
        name: str,
        frames: Sequence[Frame],
        *,
        owner: User,
        now: datetime,
        organization: Organization | None = None,
        assignees: Sequence[User] = (),
        labels: Sequence[str] = ("object",),
        deleted_frames: Sequence[int] = (),
        chunk_size: int = 36,
        job_size: int | None = None,
        from_video: bool = False,
    ) -> Task:
        """A new task. Raises `ApiError` 400 without frames."""
        if not frames:
            raise refused("No media data found")
        step = job_size or len(frames)
        task = Task(
            id=next(self._task_ids),
            name=name,
            owner=owner,
            organization=organization,
            assignees=list(assignees),
            frames=tuple(frames),
            labels=tuple(Label(next(self._label_ids), label) for label in labels),
            jobs=tuple(
                Job(next(self._job_ids), start, min(start + step, len(frames)) - 1)
                for start in range(0, len(frames), step)
            ),
            chunk_size=chunk_size,
            from_video=from_video,
            created=now,
            updated=now,
        )
        self._tasks[task.id] = task
        self.delete_frames(task, deleted_frames, now=now)
        return task

    def get(self, task_id: int) -> Task:
        """The task of that id. Raises `ApiError` 404."""
        task = self._tasks.get(task_id)
        if task is None:
            raise not_found("Task")
        return task

    def image_size(self, task_id: int, frame: int) -> tuple[int, int]:
        """Width and height of a frame. Raises `ApiError` 404 without the task, 400 without the frame."""
        frames = self.get(task_id).frames
        if not 0 <= frame < len(frames):
            raise refused(f"Incorrect requested frame number: {frame}")
        return frames[frame].width, frames[frame].height

    def of_job(self, job_id: int) -> tuple[Task, Job]:
        """The job of that id and its task. Raises `ApiError` 404."""
        for task in self._tasks.values():
            for job in task.jobs:
                if job.id == job_id:
                    return task, job
        raise not_found("Job")

    def delete_frames(self, task: Task, frames: Sequence[int], *, now: datetime) -> None:
        """Make these, and only these, the deleted frames. Raises `ApiError` 400 for one that is not there."""
        wrong = [frame for frame in frames if not 0 <= frame < len(task.frames)]
        if wrong:
            raise refused(f"Incorrect frame number: {wrong[0]}")
        task.deleted_frames = set(frames)
        task.updated = now

    def remove(self, task_id: int) -> None:
        """Delete the task. Raises `ApiError` 404."""
        self.get(task_id)
        del self._tasks[task_id]


def read_archive(archive: bytes) -> list[Frame]:
    """The images of a zip file in the order of their names. Raises `ApiError` 400 for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            names = sorted(name for name in opened.namelist() if not name.endswith("/"))
            return [_read_frame(name, opened.read(name)) for name in names]
    except zipfile.BadZipFile as error:
        raise refused("The uploaded file is not a zip archive") from error


def _read_frame(name: str, data: bytes) -> Frame:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            media_type = image.get_format_mimetype() or "application/octet-stream"
    except UnidentifiedImageError as error:
        raise refused(f"{name} is neither a PNG nor a JPEG image") from error
    return Frame(name, data, media_type, width, height)
