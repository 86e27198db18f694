"""What the agent and the process of its model say to each other.

Encoded frames and memories stay where the model is; the agent has their numbers, and says which ones nobody
needs any more.  Both ends are one program of one version and nobody else holds the line, which is why the
standard library may pickle what goes over it; nothing of it is kept.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_agent.adapters.model_channel import Channel
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt, Prompt, Resized, ShapeType
from sam2_agent.errors import AgentError

Number: TypeAlias = int
"""Stands for an encoded frame or a memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Answered with the frame's number."""

    image: Resized


@dataclass(frozen=True, slots=True, eq=False)
class PackedMask:
    """A `MaskPrompt` with a bit for each pixel."""

    bits: NDArray[np.uint8]
    shape: tuple[int, ...]


def pack(prompt: Prompt) -> PackedMask | BoxPrompt:
    """Make a prompt small."""
    if isinstance(prompt, BoxPrompt):
        return prompt
    return PackedMask(np.packbits(prompt.mask), prompt.mask.shape)


def unpack(prompt: PackedMask | BoxPrompt) -> Prompt:
    """Give back what `pack` was given."""
    if isinstance(prompt, BoxPrompt):
        return prompt
    bits = np.unpackbits(prompt.bits, count=math.prod(prompt.shape))
    return MaskPrompt(bits.view(np.bool_).reshape(prompt.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Begin:
    """Answered with a `Found` for each prompt, without points: who asks has the shape."""

    frame: Number
    prompts: list[PackedMask | BoxPrompt]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A `Context` whose records, the prompt's first, are written side by side.

    `pointers` are float32 of shape (records, hidden width).
    """

    index: int
    window: int
    shape: ShapeType
    indices: list[int]
    pointers: NDArray[np.float32]
    scores: list[float]
    memories: list[Number | None]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Answered with a `Found` for each context."""

    frame: Number
    contexts: list[Row]


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Answered with the memory's number."""

    data: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Dump:
    """Answered with an array of bytes."""

    memory: Number


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What is to be done, and the numbers that stand for nothing any more."""

    what: Encode | Begin | Step | Load | Dump
    gone: list[Number]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An `Output`; `pointer` is float32 of shape (hidden width,)."""

    points: list[float] | None
    pointer: NDArray[np.float32]
    score: float
    memory: Number


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; it reads frames of `side` by `side` pixels."""

    fingerprint: str
    batch_size: int
    side: int


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """What was asked raised an error; `told` is its traceback."""

    error: Exception
    told: str

    def raise_again(self) -> None:
        """Raise the error here, with the traceback that it had there for its cause."""
        raise self.error from _There(self.told)


class _There(Exception):
    """Where something happened in the other process."""

    def __str__(self) -> str:
        return f"in the model's process:\n{self.args[0]}"


class Line:
    """The agent's end: one question at a time, whichever thread asks.

    `ended` says what it means when the other end is closed.
    """

    def __init__(self, channel: Channel, ended: Callable[[], AgentError]) -> None:
        self._channel = channel
        self._ended = ended
        self._lock = threading.Lock()

    def ask(self, call: Call) -> Any:
        """Return the answer, or raise what the other process raised."""
        with self._lock:
            try:
                self._channel.send(call)
            except OSError as error:
                raise self._ended() from error
            return self.heard()

    def heard(self) -> Any:
        """Return what is said next, or raise what the other process raised."""
        try:
            said = self._channel.receive()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if isinstance(said, Failed):
            said.raise_again()
        return said
