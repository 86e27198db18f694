"""A tracker that computes nothing: its records are as large as a published model's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.shapes import write_points
from sam2_agent.core.tracking import Context, Features, Memory, Prompt, Remembered, Resized, ShapeType

HEIGHT, WIDTH = 480, 720
OBJECT_HEIGHT = 300
"""Pixels; a mask has about 2.7 runs for each row of an object: 800 runs."""

MEMORY_BYTES = 64 * 64 * 64 * 2 + 100
"""64x64x64 bfloat16 in a safetensors file."""
POINTER_WIDTH = 256


@dataclass(frozen=True, slots=True)
class Sized:
    """Features and memories that are nothing but large."""

    size: tuple[int, int] = (WIDTH, HEIGHT)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    mask: NDArray[np.bool_]
    remembered: Remembered
    shape: ShapeType = "mask"

    @property
    def points(self) -> list[float] | None:
        return write_points(self.shape, self.mask)


class SizedTracker:
    """Computes nothing; its records are as large as a published model's."""

    fingerprint = "f" * 64
    batch_size = 32

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._outlines = [_outline(seed) for seed in range(8)]
        self._noise = self._rng.bytes(2 * MEMORY_BYTES)
        self._turn = itertools.count()

    def resize(self, image: NDArray[np.uint8]) -> Resized:
        return Resized((WIDTH, HEIGHT), image)

    def encode(self, _image: Resized) -> Sized:
        return Sized()

    def prompt(self, _features: Features, prompts: Sequence[Prompt]) -> list[Output]:
        return [self._output(0) for _ in prompts]

    def step(self, _features: Features, contexts: Sequence[Context]) -> list[Output]:
        return [self._output(context.index, context.shape) for context in contexts]

    def dump_memory(self, _memory: Memory) -> bytes:
        start = next(self._turn) * 4096 % MEMORY_BYTES
        return self._noise[start : start + MEMORY_BYTES]

    def load_memory(self, _data: bytes) -> Sized:
        return Sized()

    def mask(self) -> NDArray[np.bool_]:
        """The mask of some object somewhere, (HEIGHT, WIDTH)."""
        turn = next(self._turn)
        top, left = turn % 90, turn % 200
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
        mask[top : top + 390, left : left + 500] = self._outlines[turn % len(self._outlines)]
        return mask

    def _output(self, index: int, shape: ShapeType = "mask") -> Output:
        pointer = self._rng.standard_normal(POINTER_WIDTH).astype(np.float32)
        return Output(self.mask(), Remembered(index, pointer, 1.0, Sized()), shape)


def _outline(seed: int) -> NDArray[np.bool_]:
    """An object with a wavy outline, bool of shape (390, 500)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:390, :500]
    angle = np.arctan2(rows - 195, columns - 250)
    radius = np.full_like(angle, OBJECT_HEIGHT / 2)
    for waves in range(2, 40):
        swing = rng.normal() * OBJECT_HEIGHT / 4 / waves**1.2
        radius += swing * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    inside: NDArray[np.bool_] = np.hypot(rows - 195, (columns - 250) * 1.3) < radius
    return inside
