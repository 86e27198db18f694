"""One object on the way to its newest step."""

from __future__ import annotations

from dataclasses import dataclass, field

from sam2_agent.core.ports import Kind
from sam2_agent.core.recent import Pointer
from sam2_agent.core.records import Answer
from sam2_agent.core.restore import memories_read, pointers_read
from sam2_agent.core.state import Steps
from sam2_agent.core.tracking import Context, Memory, Remembered


@dataclass(eq=False, slots=True)
class Progress:
    """What a request knows of one track's steps, each by its index.

    `pointers` and `memories` are the records found or computed; `damaged` the bytes of answers that cannot be
    read and may be replaced; `looked_at` what was looked for, found or not.  `todo` are the steps to compute,
    in order, the newest last; `newest` is its answer, once there is one.
    """

    steps: Steps
    pointers: dict[int, Pointer] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)
    damaged: dict[int, bytes] = field(default_factory=dict)
    looked_at: set[tuple[Kind, int]] = field(default_factory=set)
    todo: list[int] = field(default_factory=list)
    newest: Answer | None = None

    @property
    def next_frame(self) -> tuple[int, bool]:
        """The frame of the next step to compute, and whether it is the prompt's step."""
        return self.steps.frame(self.todo[0]), self.todo[0] == 0

    @property
    def next_name(self) -> str:
        """The name of the next step to compute."""
        return self.steps.name(self.todo[0])

    def next_context(self) -> Context:
        """What the next step to compute reads, where it is not the prompt's."""
        index = self.todo[0]
        with_memory = memories_read(index)
        recent = (self._remembered(i, with_memory=i in with_memory) for i in pointers_read(index))
        return Context(index, self.steps.state.window, self._remembered(0), tuple(recent))

    def _remembered(self, index: int, *, with_memory: bool = True) -> Remembered:
        pointer = self.pointers[index]
        return Remembered(index, pointer.vector, pointer.score, self.memories[index] if with_memory else None)
