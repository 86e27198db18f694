"""What a measurement is given: a device, a folder to work in, models, and how much effort it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch

from benchmarks.speed.clip import Clip, make_clip
from benchmarks.speed.models import SMALL, Model, Published, published
from benchmarks.speed.report import Table
from benchmarks.speed.stage import Stage, stage

T = TypeVar("T")

Effort = Literal["quick", "normal", "full"]
"""Whether it works at all; what is committed; and what takes hours."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    name: str
    """Begins the names of its files."""
    device: torch.device
    folder: Path
    effort: Effort = "normal"
    published: Sequence[Published] = ("tiny",)
    weights: Path | None = None
    say: Callable[[str], None] = print
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def small(self) -> Model:
        """The small trained model."""
        return SMALL

    def large(self) -> Iterator[Model]:
        """The published models that this run measures; none of them where it is quick."""
        for which in self.published if self.effort != "quick" else ():
            yield published(which, self.folder, self.weights)

    def choose(self, quick: T, normal: T, full: T | None = None) -> T:
        """What suits the effort; without a third what is normal is full."""
        if self.effort == "quick":
            return quick
        return full if self.effort == "full" and full is not None else normal

    def rounds(self, count: int = 3) -> range:
        """How often what is compared takes turns."""
        return range(1 if self.effort == "quick" else count)

    def clip(self, frames: int, model: Model) -> Clip:
        """A clip of frames as that model is given them."""
        return make_clip(self.folder / f"clip-{next(self._numbers)}", frames, model.size)

    @contextmanager
    def stage(self) -> Iterator[Stage]:
        """A CVAT and a Redis of this measurement's own."""
        with stage(self.folder / f"stage-{next(self._numbers)}", self.device) as place:
            yield place


class Measurement(Protocol):
    """A module of `tables`."""

    def measure(self, bench: Bench) -> Table:
        """Measure; takes minutes."""

    def draw(self, table: Table, path: Path) -> None:
        """Draw the table as an image."""


def progress() -> Callable[[str], None]:
    """Tell what is going on, with the seconds since now."""
    began = time.perf_counter()
    return lambda words: print(f"[{time.perf_counter() - began:5.0f} s] {words}", flush=True)
