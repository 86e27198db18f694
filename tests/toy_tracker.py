"""A tracker without a model: every output is a digest of everything that the step reads.

So an answer is right only if the whole history that led to it was handed over unchanged.  No torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.shapes import write_points
from sam2_agent.core.tracking import (
    BoxPrompt,
    Context,
    Features,
    Memory,
    Prompt,
    Remembered,
    Resized,
    ShapeType,
)
from sam2_agent.errors import DamagedRecord

POINTER_WIDTH = 8


@dataclass(frozen=True, slots=True)
class ToyMemory:
    """Memory of one object on one frame."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class ToyFeatures:
    """An encoded frame."""

    size: tuple[int, int]
    digest: bytes


@dataclass(frozen=True, slots=True, eq=False)
class ToyOutput:
    """One object on one frame."""

    mask: NDArray[np.bool_]
    remembered: Remembered
    shape: ShapeType = "mask"

    @property
    def points(self) -> list[float] | None:
        return write_points(self.shape, self.mask)


class ToyTracker:
    """Implements `sam2_agent.core.tracking.Tracker`; counts its work."""

    def __init__(self, fingerprint: str = "toy") -> None:
        self.fingerprint = fingerprint
        self.batch_size = 32
        self.steps = 0
        self.sees = True
        self.encoded = 0
        self.at_once = 0
        """The most objects that one call was about."""

    def resize(self, image: NDArray[np.uint8]) -> Resized:
        height, width = image.shape[:2]
        return Resized((width, height), image)

    def encode(self, image: Resized) -> ToyFeatures:
        self.encoded += 1
        return ToyFeatures(image.size, hashlib.sha256(image.pixels.tobytes()).digest())

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[ToyOutput]:
        self.at_once = max(self.at_once, len(prompts))
        return [self._output(features, 0, _prompt_bytes(prompt)) for prompt in prompts]

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        self.at_once = max(self.at_once, len(contexts))
        return [
            replace(self._output(features, context.index, _context_bytes(context)), shape=context.shape)
            for context in contexts
        ]

    def dump_memory(self, memory: Memory) -> bytes:
        assert isinstance(memory, ToyMemory)
        return memory.digest

    def load_memory(self, data: bytes) -> ToyMemory:
        if len(data) != 32:
            raise DamagedRecord("Not a toy's memory.")
        return ToyMemory(data)

    def _output(self, features: Features, index: int, read: bytes) -> ToyOutput:
        assert isinstance(features, ToyFeatures)
        self.steps += 1
        digest = hashlib.sha256(features.digest + read).digest()
        width, height = features.size
        mask = np.zeros((height, width), dtype=np.bool_)
        if digest[0] > 16 and self.sees:  # else the object is lost on this frame
            left, top = digest[1] % (width - 8), digest[2] % (height - 8)
            mask[top : top + 3 + digest[3] % 5, left : left + 3 + digest[4] % 5] = True
        pointer = np.frombuffer(digest, np.uint8)[:POINTER_WIDTH].astype(np.float32) / np.float32(7)
        memory = ToyMemory(hashlib.sha256(b"memory" + digest).digest())
        return ToyOutput(mask, Remembered(index, pointer, float(digest[0]), memory))


def _prompt_bytes(prompt: Prompt) -> bytes:
    if isinstance(prompt, BoxPrompt):
        return repr(prompt.box).encode()
    return prompt.mask.tobytes()


def _context_bytes(context: Context) -> bytes:
    parts = [f"{context.index} {context.window}".encode()]
    for remembered in (context.prompt, *context.recent):
        memory = remembered.memory
        parts += [
            str(remembered.index).encode(),
            remembered.pointer.tobytes(),
            str(remembered.score).encode(),
            memory.digest if isinstance(memory, ToyMemory) else b"-",
        ]
    return b"".join(parts)
