"""The border between tracks and the model: what one step of SAM2 takes and gives.

SAM2 is a recurrent network whose state is a few records per object: the memory of the prompt's frame and of
the last six frames, and the object pointers of the last fifteen (Ravi et al., "SAM 2: Segment Anything in
Images and Videos", section 4).  A step is a pure function of those records and one frame.  Whoever implements
`Tracker` keeps nothing between calls that changes an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

MEMORY_FRAMES = 6
"""How many frames before the current one SAM2 reads spatial memory of (`num_maskmem` - 1)."""

POINTER_FRAMES = 15
"""How many frames before the current one SAM2 reads object pointers of (`max_obj_ptrs_in_encoder` - 1)."""

ShapeType: TypeAlias = Literal["mask", "polygon", "rectangle"]
"""How CVAT is told where an object is."""


class Memory(Protocol):
    """Spatial memory of one object on one frame; opaque, it may live on a GPU."""


@dataclass(frozen=True, slots=True, eq=False)
class Resized:
    """A frame as the model reads it.

    `size` is the width and height that it had; `pixels` are RGB, uint8 of shape (rows, columns, 3).
    """

    size: tuple[int, int]
    pixels: NDArray[np.uint8]


class Features(Protocol):
    """One encoded frame; opaque, shared by all objects on it."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame in pixels."""


@dataclass(frozen=True, slots=True)
class MaskPrompt:
    """An object given by its mask: bool of shape (height, width), in the frame's pixels."""

    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """An object given by its upright box: x1, y1, x2, y2 in the frame's pixels."""

    box: tuple[float, float, float, float]


Prompt: TypeAlias = MaskPrompt | BoxPrompt


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """What is kept of one object on one frame.

    `index` is the frame's position in the tracked sequence, 0 for the prompt's frame.  `pointer` is float32
    of shape (hidden width,), `score` the object score logit.  `memory` may be None where SAM2 reads the
    pointer alone.
    """

    index: int
    pointer: NDArray[np.float32]
    score: float
    memory: Memory | None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What one object's step reads.

    `index` is the position of the frame to track (>= 1).  `recent` holds the records of the frames before it,
    oldest first, without the prompt's own: at most `POINTER_FRAMES`, of which the last `MEMORY_FRAMES` carry
    memory.  `window` is min(16, frames in the video): SAM2 scales the pointers' positions in time by it.
    `shape` is how the object is told.
    """

    index: int
    window: int
    prompt: Remembered
    recent: tuple[Remembered, ...]
    shape: ShapeType


class Output(Protocol):
    """One object on one frame, found or not."""

    @property
    def points(self) -> list[float] | None:
        """Where the object is, as CVAT takes it for the context's shape; None where it is not visible.

        Of a prompt's output it means nothing.
        """

    @property
    def remembered(self) -> Remembered:
        """The record that later steps read; its memory is never None."""


class Tracker(Protocol):
    """A SAM2 model.  Not thread-safe: one caller at a time.

    Raises `errors.DeviceOutOfMemory` or `errors.DeviceLost` where the accelerator fails.
    """

    @property
    def fingerprint(self) -> str:
        """Digest of what decides the output: weights, config, precision and the algorithm's version."""

    @property
    def batch_size(self) -> int:
        """How many objects `step` tracks at once; more it takes one batch after the other."""

    def resize(self, image: NDArray[np.uint8]) -> Resized:
        """Bring an RGB image of shape (height, width, 3) to the model's size; any thread may call this."""

    def encode(self, image: Resized) -> Features:
        """Run the image encoder once."""

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> Sequence[Output]:
        """Begin tracks on this frame, one for each prompt."""

    def step(self, features: Features, contexts: Sequence[Context]) -> Sequence[Output]:
        """Track each object one frame on; the answers equal those of one call for each."""

    def dump_memory(self, memory: Memory) -> bytes:
        """Serialize memory as data."""

    def load_memory(self, data: bytes) -> Memory:
        """Give back what `dump_memory` was given; raises `errors.DamagedRecord` for other data."""
