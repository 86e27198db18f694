"""One object on the way to its newest step."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sam2_agent.core.ports import Kind
from sam2_agent.core.recent import Pointer
from sam2_agent.core.records import Answer
from sam2_agent.core.restore import memories_read, pointers_read
from sam2_agent.core.tracking import Context, Features, Memory, Prompt, Remembered, ShapeType

P = TypeVar("P", bound=Hashable)
P_co = TypeVar("P_co", bound=Hashable, covariant=True)
P_contra = TypeVar("P_contra", bound=Hashable, contravariant=True)
"""What names an image: task and frame number, or the digest of an image that a caller brought."""


class Steps(Protocol[P_co]):
    """The steps of one track by index: 0 is the prompt's, k that of the k-th image tracked since."""

    @property
    def last(self) -> int:
        """The index of the newest step."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that all images of the track have."""

    @property
    def shape(self) -> ShapeType:
        """The type of the shapes that answers have."""

    @property
    def window(self) -> int:
        """See `tracking.Context`."""

    def prompt(self) -> Prompt:
        """Return what the model begins with; raises `RequestRefused` where there is no such thing."""

    def picture(self, index: int) -> P_co:
        """Return what the step reads; raises `RequestRefused` where nobody has it any more."""

    def picture_told(self, index: int) -> str:
        """Return how a sentence for the annotator calls it, at its beginning."""

    def name(self, index: int) -> str:
        """Return the name of the step's records; raises `RequestRefused` where nobody knows it any more."""

    def link(self, index: int) -> bytes | None:
        """Return the record, if there is one, by which somebody who has only the step's name goes on."""


class Pictures(Protocol[P_contra]):
    """The images that steps read."""

    async def encoded(self, picture: P_contra) -> Features:
        """Return the encoded image; raises `RequestRefused` or `Unavailable`."""


@dataclass(eq=False, slots=True)
class Progress(Generic[P]):
    """What a request knows of one track's steps, each by its index.

    `pointers` and `memories` are the records found or computed; `damaged` the bytes of answers that cannot be
    read and may be replaced; `looked_at` what was looked for, found or not.  `todo` are the steps to compute,
    in order, the newest last; `newest` is its answer, once there is one.
    """

    steps: Steps[P]
    pointers: dict[int, Pointer] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)
    damaged: dict[int, bytes] = field(default_factory=dict)
    looked_at: set[tuple[Kind, int]] = field(default_factory=set)
    todo: list[int] = field(default_factory=list)
    newest: Answer | None = None

    @property
    def next_picture(self) -> tuple[P, bool]:
        """What the next step to compute reads, and whether it is the prompt's step."""
        return self.steps.picture(self.todo[0]), self.todo[0] == 0

    @property
    def next_name(self) -> str:
        """The name of the next step to compute."""
        return self.steps.name(self.todo[0])

    def next_context(self) -> Context:
        """What the next step to compute reads, where it is not the prompt's."""
        index = self.todo[0]
        with_memory = memories_read(index)
        recent = (self._remembered(i, with_memory=i in with_memory) for i in pointers_read(index))
        return Context(index, self.steps.window, self._remembered(0), tuple(recent), self.steps.shape)

    def _remembered(self, index: int, *, with_memory: bool = True) -> Remembered:
        pointer = self.pointers[index]
        return Remembered(index, pointer.vector, pointer.score, self.memories[index] if with_memory else None)
