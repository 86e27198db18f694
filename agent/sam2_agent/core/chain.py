"""Tracks of which a caller knows one name only: CVAT's serverless trackers.

There a call brings an image and what the last answer said, no task and no frame number.  So a track is a
chain of steps, and what is handed out is the name of its newest one, which nobody can guess:

    prompt   digest of the model's fingerprint, 128 random bits and the image
    step     digest of the model's fingerprint, the step before and the image

A call that is repeated names the same step again, gets the answer that stands, and moves nothing.  By its
link, a record in Redis, a step knows those before it as far back as the next step reads.  Images are not
kept: what is missing is lost, and the shape has to be drawn again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam2_agent.core.masks import MAX_SIDE
from sam2_agent.core.records import seal, unseal
from sam2_agent.core.state import WINDOW
from sam2_agent.core.tracking import POINTER_FRAMES, Prompt, ShapeType
from sam2_agent.errors import DamagedRecord, RequestRefused, TrackLost

PREFIX = "s2ts1."
"""Begins every state that is handed out and carries the version of the format."""

MAX_STEPS = 1_000_000

StepName = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


def lost(where: str) -> TrackLost:
    """What the annotator reads where a track cannot go on; `where` says which of several, or nothing."""
    return TrackLost(
        f"The agent no longer has this track{where} (it is kept for some hours after its last use); "
        "draw the shape again and run."
    )


def digest(image: bytes) -> str:
    """Name an image by its encoded bytes."""
    return hashlib.sha256(image).hexdigest()


def write_state(name: str) -> str:
    """Write what CVAT is handed of a track whose newest step has this name."""
    return PREFIX + name


def read_state(text: object) -> str:
    """Return the name of the step that a state names; raises `RequestRefused`."""
    name = text.removeprefix(PREFIX) if isinstance(text, str) and text.startswith(PREFIX) else ""
    if len(name) != 64 or set(name) - set("0123456789abcdef"):
        raise RequestRefused(
            "A tracking state is not one that this function wrote; draw the shape again and run."
        )
    return name


class Link(BaseModel):
    """How a step came about: its index, and the names of those before it.

    `size` is width and height of the track's images, `shape` the type that answers have.  `prompt` is the
    name of the prompt's step, `before` those of the steps just before this one, oldest first.  `seen` is
    there for callers who know shapes as bare lists of four numbers, and no other answer: where the object was
    seen last before this step.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    index: Annotated[int, Field(ge=0, le=MAX_STEPS)]
    size: tuple[Side, Side]
    shape: ShapeType
    prompt: StepName
    before: Annotated[tuple[StepName, ...], Field(max_length=POINTER_FRAMES)] = ()
    seen: Annotated[list[Coordinate], Field(min_length=4, max_length=4)] | None = None

    def dump(self, name: str) -> bytes:
        """Write the record of the step `name`."""
        return seal("link", name, self.model_dump_json().encode())

    @classmethod
    def load(cls, data: bytes, name: str) -> Self:
        """Read the record of the step `name`; raises `DamagedRecord`."""
        try:
            return cls.model_validate_json(unseal("link", name, data))
        except ValidationError as error:
            raise DamagedRecord("A link cannot be read.") from error


@dataclass(frozen=True)
class Chain:
    """A track as `progress.Steps`, on the way to the step that reads the image at hand.

    `newest` is that step's name and `way` its link; `image` the digest of the image; `begins` the prompt,
    where the track begins with this step; `where` which of several tracks it is, as people count.
    """

    newest: str
    way: Link
    image: str
    begins: Prompt | None = None
    where: str = ""

    @property
    def last(self) -> int:
        """The index of the newest step."""
        return self.way.index

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the track's images."""
        return self.way.size

    @property
    def shape(self) -> ShapeType:
        """The type of the shapes that answers have."""
        return self.way.shape

    @property
    def window(self) -> int:
        """See `tracking.Context`; how many frames the video has is not known here."""
        return WINDOW

    def prompt(self) -> Prompt:
        """Return what the model begins with."""
        if self.begins is None:
            raise lost(self.where)
        return self.begins

    def picture(self, index: int) -> str:
        """Return the digest of the image at hand; no other can be had."""
        if index != self.last:
            raise lost(self.where)
        return self.image

    def picture_told(self, _index: int) -> str:
        """Return what a call brings: one image."""
        return "This image"

    def name(self, index: int) -> str:
        """Return the name of a step within reach."""
        try:
            return self._names[index]
        except KeyError:
            raise lost(self.where) from None

    def link(self, index: int) -> bytes | None:
        """Return the link's record."""
        return self.way.dump(self.newest) if index == self.last else None

    @cached_property
    def _names(self) -> dict[int, str]:
        before = self.way.before
        recent = {self.last - len(before) + i: name for i, name in enumerate(before)}
        return {0: self.way.prompt, **recent, self.last: self.newest}


def begin(
    *,
    fingerprint: str,
    nonce: int,
    image: str,
    size: tuple[int, int],
    shape: ShapeType,
    prompt: Prompt,
    seen: list[float] | None,
) -> Chain:
    """Return a new track on an image; `nonce` is 128 random bits, `seen` as in `Link`."""
    name = _name(fingerprint, "prompt", f"{nonce:032x}", image)
    return Chain(name, Link(index=0, size=size, shape=shape, prompt=name, seen=seen), image, prompt)


def go_on(*, fingerprint: str, after: str, way: Link, image: str, where: str) -> Chain:
    """Return a track one image further than the step `after`, to which `way` led; `where` as in `Chain`."""
    if way.index >= MAX_STEPS:
        raise RequestRefused("This track is too long to go on; draw the shape again and run.")
    before = (*way.before, after)[-POINTER_FRAMES:] if way.index else ()
    link = way.model_copy(update={"index": way.index + 1, "before": before})
    return Chain(_name(fingerprint, "step", after, image), link, image, where=where)


def _name(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
