"""The scripted annotator's session: what a person at CVAT's page does with a clip, undisturbed or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tests.cvat_standin.annotator import Shape, TrackedFrame
from tests.demo.clips import Clip, Target
from tests.demo.shapes import Bitmap, bitmap_of, outline

OnFrame = Callable[[TrackedFrame], None]
Frames = tuple[TrackedFrame, ...]


class Interruption(Protocol):
    """Something that ends the agent in the middle of one request."""

    @property
    def name(self) -> str:
        """A word or two, for timelines."""

    @property
    def what(self) -> str:
        """What happens, in a few words."""

    @property
    def ahead(self) -> int:
        """How many frames before its own it is armed, once that frame is answered."""

    def arm(self, frame: int) -> None:
        """Get ready to strike, on another thread, in the middle of the request for that frame."""

    def finish(self) -> float:
        """The monotonic time at which it struck, once the answer is there. Raises what went wrong."""


class Tracks(Protocol):
    """The action on CVAT's page: tracks what is drawn on frame `start` up to frame `stop`, inclusive."""

    def __call__(self, shapes: Sequence[Shape], *, start: int, stop: int, on_frame: OnFrame) -> Frames:
        """The frames in order; raises `RunError` with CVAT's sentence when a request fails."""


@dataclass(frozen=True, slots=True)
class Outage:
    """An interruption that took place, and the seconds from it to the answer that was awaited."""

    name: str
    what: str
    frame: int
    seconds: float


@dataclass(frozen=True)
class Session:
    """All that the annotator saw: every target tracked to the end, then the corrected one from there."""

    clip: Clip
    tracks: tuple[Frames, ...]
    outages: tuple[Outage, ...]

    @property
    def answers(self) -> list[TrackedFrame]:
        """What each track request gave, without the frames on which the annotator drew."""
        return [frame for track in self.tracks for frame in track[1:]]

    def shapes(self) -> list[tuple[Shape | None, ...]]:
        """Every shape of every answer: what has to be the same whoever died meanwhile."""
        return [answer.shapes for answer in self.answers]

    def masks(self) -> Bitmap:
        """What is on the page in the end: bool of shape (targets, frames, height, width)."""
        masks = self.first_masks()
        if correction := self.clip.correction:
            for frame in self.tracks[1]:
                masks[correction.target, frame.frame] = bitmap_of(frame.shapes[0], self.clip.size)
        return masks

    def first_masks(self) -> Bitmap:
        """What was on the page before the correction; shape as in `masks`."""
        width, height = self.clip.size
        masks = np.zeros((len(self.clip.targets), len(self.clip.jpegs), height, width), np.bool_)
        for frame in self.tracks[0]:
            for target, shape in enumerate(frame.shapes):
                masks[target, frame.frame] = bitmap_of(shape, self.clip.size)
        return masks


def drawn(target: Target, bitmap: Bitmap) -> Shape:
    """How the annotator draws a target."""
    return Shape.mask(bitmap) if target.shape_type == "mask" else outline(bitmap)


def annotate(
    clip: Clip,
    track: Tracks,
    *,
    interruptions: Mapping[int, Interruption] | None = None,
    on_frame: OnFrame = lambda _frame: None,
) -> Session:
    """Track every target over the whole clip; then correct one, and run again from there for it alone.

    `interruptions` are by the frame, 2 or later, of the first run in the middle of whose request they come.
    Raises `RunError` with CVAT's sentence when a request fails.
    """
    planned = dict(interruptions or {})
    outages: list[Outage] = []

    def look(frame: TrackedFrame) -> None:
        if struck := planned.get(frame.frame):
            outages.append(Outage(struck.name, struck.what, frame.frame, time.monotonic() - struck.finish()))
        for at, coming in planned.items():
            if at == frame.frame + coming.ahead:
                coming.arm(at)
        on_frame(frame)

    last = len(clip.jpegs) - 1
    shapes = [drawn(target, target.first) for target in clip.targets]
    tracks = [track(shapes, start=0, stop=last, on_frame=look)]
    if correction := clip.correction:
        again = [drawn(clip.targets[correction.target], correction.drawn)]
        start = correction.frame
        tracks.append(track(again, start=start, stop=last, on_frame=on_frame))
    return Session(clip, tuple(tracks), tuple(outages))
