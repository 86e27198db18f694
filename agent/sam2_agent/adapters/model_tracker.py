"""The model in another process, as a tracker."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_agent.adapters.model_calls import (
    Begin,
    Call,
    Dump,
    Encode,
    Found,
    Line,
    Load,
    Number,
    Ready,
    Row,
    Step,
    pack,
)
from sam2_agent.adapters.resizing import resize
from sam2_agent.core.tracking import Context, Features, Memory, Prompt, Remembered, Resized


class RemoteMemory:
    """A memory that the model's process keeps for as long as this object lives."""

    __slots__ = ("_gone", "number")

    def __init__(self, number: Number, gone: deque[Number]) -> None:
        self.number = number
        self._gone = gone

    def __del__(self) -> None:
        self._gone.append(self.number)


class RemoteFrame(RemoteMemory):
    """An encoded frame, likewise; `size` is width and height of the frame in pixels."""

    __slots__ = ("size",)

    def __init__(self, number: Number, gone: deque[Number], size: tuple[int, int]) -> None:
        super().__init__(number, gone)
        self.size = size


@dataclass(frozen=True, slots=True, eq=False)
class RemoteOutput:
    """One object on one frame."""

    points: list[float] | None
    remembered: Remembered


class ModelTracker:
    """A `sam2_agent.core.tracking.Tracker` whose model is at the other end of two lines.

    Over one of them, `apart`, memories are dumped; over the other goes all the rest.
    """

    def __init__(self, ready: Ready, model: Line, apart: Line) -> None:
        self.fingerprint = ready.fingerprint
        self.batch_size = ready.batch_size
        self._side = ready.side
        self._model = model
        self._apart = apart
        self._gone: deque[Number] = deque()

    def resize(self, image: NDArray[np.uint8]) -> Resized:
        """Bring an RGB image of shape (height, width, 3) to the model's size; any thread may call this."""
        return resize(image, self._side)

    def encode(self, image: Resized) -> RemoteFrame:
        """Run the image encoder once."""
        return RemoteFrame(self._ask(Encode(image)), self._gone, image.size)

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[RemoteOutput]:
        """Begin tracks on this frame, one for each prompt."""
        found: list[Found] = self._ask(Begin(_number(features), [pack(prompt) for prompt in prompts]))
        return [self._output(0, each) for each in found]

    def step(self, features: Features, contexts: Sequence[Context]) -> list[RemoteOutput]:
        """Track each object one frame on; the answers equal those of one call for each."""
        found: list[Found] = self._ask(Step(_number(features), [_row(context) for context in contexts]))
        return [self._output(context.index, each) for context, each in zip(contexts, found, strict=True)]

    def dump_memory(self, memory: Memory) -> bytes:
        """Serialize memory as data; any thread may call this, also while the model runs."""
        data: NDArray[np.uint8] = self._apart.ask(Call(Dump(_number(memory)), []))
        return data.tobytes()

    def load_memory(self, data: bytes) -> RemoteMemory:
        """Give back what `dump_memory` was given; raises `DamagedRecord` for no memory of this model."""
        return RemoteMemory(self._ask(Load(np.frombuffer(data, np.uint8))), self._gone)

    def _ask(self, what: Encode | Begin | Step | Load) -> Any:
        # Taken one by one: whatever is let go of meanwhile, in any thread, is told the next time.
        return self._model.ask(Call(what, [self._gone.popleft() for _ in range(len(self._gone))]))

    def _output(self, index: int, found: Found) -> RemoteOutput:
        memory = RemoteMemory(found.memory, self._gone)
        return RemoteOutput(found.points, Remembered(index, found.pointer, found.score, memory))


def _row(context: Context) -> Row:
    records = (context.prompt, *context.recent)
    return Row(
        index=context.index,
        window=context.window,
        shape=context.shape,
        indices=[record.index for record in records],
        pointers=np.stack([record.pointer for record in records]),
        scores=[record.score for record in records],
        memories=[None if record.memory is None else _number(record.memory) for record in records],
    )


def _number(held: Features | Memory) -> Number:
    if not isinstance(held, RemoteMemory):
        raise TypeError(f"not what this model gave: {type(held).__name__}")
    return held.number
