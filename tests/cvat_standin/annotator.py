"""A scripted annotator: what CVAT's annotation page does when somebody tracks objects, by real HTTP.

The page signs in, picks a function, sends one `init_tracking` with the shapes of the start frame, then one
`track` a frame, one after the other, up to the target frame, each with the states that the last answer gave.
Deleted frames are passed over. A correction is a new shape and the action again from that frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cvat_standin.page import PageSession, RunError
from tests.cvat_standin.shapes import Shape

__all__ = ["Annotator", "FunctionChoice", "RunError", "Shape", "Track", "TrackedFrame"]

MAX_SHAPES_PER_REQUEST = 32


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """What one frame got: a shape per object, None where it was not found."""

    frame: int
    shapes: tuple[Shape | None, ...]
    milliseconds: float
    """How long the annotator waited for this frame; for the start frame, for `init_tracking`."""


@dataclass(frozen=True, slots=True)
class Track:
    """The frames of an action in order; the first has the shapes that the annotator drew."""

    task_id: int
    function_id: int
    frames: tuple[TrackedFrame, ...]
    complaints: tuple[str, ...] = ()
    """Sentences that the annotator saw before an attempt that worked."""

    def shapes_at(self, frame: int) -> tuple[Shape | None, ...]:
        """The shapes of a frame. Raises `KeyError` for one outside of the track."""
        for tracked in self.frames:
            if tracked.frame == frame:
                return tracked.shapes
        raise KeyError(frame)


@dataclass(frozen=True, slots=True)
class FunctionChoice:
    """A function as the page offers it."""

    id: int
    name: str
    supported_shape_types: tuple[str, ...]


OnFrame = Callable[[TrackedFrame], None]


class Annotator:
    """Somebody at CVAT's annotation page."""

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        organization: str | None = None,
        ca_file: Path | None = None,
        call_seconds: float = 120.0,
        retries: int = 0,
    ) -> None:
        """Nobody is signed in yet; `with` signs in.

        `call_seconds` is the patience with one call, `retries` how often an action is run again after an
        error.
        """
        self._page = PageSession(url, organization=organization, ca_file=ca_file, call_seconds=call_seconds)
        self._username = username
        self._password = password
        self._retries = retries

    def __enter__(self) -> Self:
        self.login()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._page.close()

    def login(self) -> None:
        """Sign in with the password. Raises `RunError`."""
        self._page.login(self._username, self._password)

    def trackers(self) -> list[FunctionChoice]:
        """The trackers that the page offers. Raises `RunError`."""
        found: list[FunctionChoice] = []
        page: int | None = 1
        while page is not None:
            answer = self._page.get(f"/api/functions?page={page}&page_size=100")
            found += [
                FunctionChoice(item["id"], item["name"], tuple(item["supported_shape_types"]))
                for item in answer["results"]
                if item["kind"] == "tracker"
            ]
            page = page + 1 if answer["next"] else None
        return found

    def choose(self, name: str) -> FunctionChoice:
        """The tracker of that name. Raises `LookupError` unless there is exactly one."""
        found = [tracker for tracker in self.trackers() if tracker.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} trackers are named {name!r}")
        return found[0]

    def track(
        self,
        function_id: int,
        task_id: int,
        shapes: Sequence[Shape],
        *,
        start: int,
        stop: int,
        job_id: int | None = None,
        on_frame: OnFrame = lambda _frame: None,
    ) -> Track:
        """Track the shapes of frame `start` to frame `stop`, inclusive.

        `on_frame` is called with each frame as it comes. After an error the whole action is run again, as
        often as this annotator tries. Raises `RunError` with the server's sentence.
        """
        common = {"task": task_id} | ({} if job_id is None else {"job": job_id})
        complaints: list[str] = []
        while True:
            try:
                frames = self._run_action(function_id, common, shapes, range(start, stop + 1), on_frame)
            except RunError as error:
                if len(complaints) == self._retries:
                    raise
                complaints.append(str(error))
            else:
                return Track(task_id, function_id, tuple(frames), tuple(complaints))

    def correct(
        self,
        track: Track,
        frame: int,
        corrections: Mapping[int, Shape],
        *,
        job_id: int | None = None,
        on_frame: OnFrame = lambda _frame: None,
    ) -> Track:
        """Replace shapes of a frame (by object, counted from 0) and run again from there to the track's end.

        Objects that are not found on that frame and not corrected stay lost. Raises `RunError`, `KeyError`.
        """
        drawn = [corrections.get(index, shape) for index, shape in enumerate(track.shapes_at(frame))]
        kept = [index for index, shape in enumerate(drawn) if shape is not None]
        again = self.track(
            track.function_id,
            track.task_id,
            [shape for shape in drawn if shape is not None],
            start=frame,
            stop=track.frames[-1].frame,
            job_id=job_id,
            on_frame=on_frame,
        )

        def with_lost(tracked: TrackedFrame) -> TrackedFrame:
            found = dict(zip(kept, tracked.shapes, strict=True))
            return replace(tracked, shapes=tuple(found.get(index) for index in range(len(drawn))))

        before = [tracked for tracked in track.frames if tracked.frame < frame]
        return replace(
            track,
            frames=(*before, *map(with_lost, again.frames)),
            complaints=track.complaints + again.complaints,
        )

    def run(self, function_id: int, params: Mapping[str, Any]) -> dict[str, Any]:
        """One `POST /api/functions/{id}/run`. Raises `RunError` with the server's sentence."""
        return self._page.post(f"/api/functions/{function_id}/run", params)

    def _run_action(
        self,
        function_id: int,
        common: Mapping[str, int],
        shapes: Sequence[Shape],
        span: range,
        on_frame: OnFrame,
    ) -> list[TrackedFrame]:
        deleted = set(self._page.get(f"/api/tasks/{common['task']}/data/meta")["deleted_frames"])
        start = span[0]
        began = time.perf_counter()
        states = [
            self.run(
                function_id,
                {"type": "init_tracking", **common, "frame": start, "shapes": [s.to_json() for s in group]},
            )["states"]
            for group in _groups(shapes)
        ]
        frames = [TrackedFrame(start, tuple(shapes), _milliseconds_since(began))]
        on_frame(frames[-1])
        for frame in span[1:]:
            if frame in deleted:
                continue
            began = time.perf_counter()
            found: list[Shape | None] = []
            for index, group_states in enumerate(states):
                answer = self.run(
                    function_id, {"type": "track", **common, "frame": frame, "states": group_states}
                )
                states[index] = answer["states"]
                found += [shape and Shape.from_json(shape) for shape in answer["shapes"]]
            frames.append(TrackedFrame(frame, tuple(found), _milliseconds_since(began)))
            on_frame(frames[-1])
        return frames


def _groups(shapes: Sequence[Shape]) -> list[Sequence[Shape]]:
    size = MAX_SHAPES_PER_REQUEST
    return [shapes[index : index + size] for index in range(0, len(shapes), size)]


def _milliseconds_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)
