"""The model in one agent's process: a toy whose answers are digests of all that it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import ParamSpec, TypeVar

from sam2_agent.core.tracking import Context, Features
from sam2_agent.errors import DeviceLost, DeviceOutOfMemory
from tests.simulation.loop import VirtualLoop
from tests.toy_tracker import ToyOutput, ToyTracker

P = ParamSpec("P")
T = TypeVar("T")

Provenance = dict[bytes, list[tuple[int, bytes]]]
"""For each pointer the pointers that were read to compute it, with the index of their steps."""


class JitteryTracker(ToyTracker):
    """Every computation of the same step gives another answer, as a GPU's may in its last bits.

    Then the answer that was published first must win everywhere: it alone is told, and later steps read its
    pointer.  `read_by` notes which pointers every pointer was computed from.
    """

    def __init__(self, rng: Random, read_by: Provenance) -> None:
        super().__init__()
        self._rng = rng
        self._read_by = read_by

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        outputs = super().step(features, contexts)
        for context, output in zip(contexts, outputs, strict=True):
            self._read_by[output.remembered.pointer.tobytes()] = [
                (each.index, each.pointer.tobytes()) for each in (context.prompt, *context.recent)
            ]
        return outputs

    def _output(self, features: Features, index: int, read: bytes) -> ToyOutput:
        return super()._output(features, index, read + self._rng.randbytes(8))


class VirtualCompute:
    """A model's one thread in virtual time, on a device that may fail."""

    def __init__(self, loop: VirtualLoop, rng: Random, seconds: float) -> None:
        self._loop = loop
        self._rng = rng
        self._seconds = seconds
        self._free_at = 0.0
        self._broken = False
        self._full = 0

    def break_device(self) -> None:
        """Lose the accelerator: every call fails from now on."""
        self._broken = True

    def fill_device(self, calls: int) -> None:
        """Have no memory left for so many calls."""
        self._full = calls

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the function, after those that were asked for before."""
        begins = max(self._loop.time(), self._free_at)
        self._free_at = begins + self._seconds * self._rng.uniform(0.5, 1.5)
        done = self._loop.create_future()
        self._loop.call_at(self._free_at, _wake, done)
        await done
        if self._broken:
            raise DeviceLost("The accelerator fell off the bus.")
        if self._full:
            self._full -= 1
            raise DeviceOutOfMemory("The accelerator has no memory left.")
        return function(*args, **kwargs)


class VirtualClock:
    """The clock of one process: virtual time since its machine started."""

    def __init__(self, loop: VirtualLoop, booted: float) -> None:
        self._loop = loop
        self._booted = booted

    def now(self) -> float:
        """Seconds since some moment; they pass also while the process is stopped."""
        return self._loop.time() + self._booted

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""
        done = self._loop.create_future()
        timer = self._loop.call_later(seconds, _wake, done)
        try:
            await done
        finally:
            timer.cancel()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
