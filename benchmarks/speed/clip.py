"""What is tracked: the same JPEG files for all, and the objects of the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.cvat_standin.shapes import Shape
from tests.fidelity.clips import crowd
from tests.tiny_sam2.synthetic_video import make_video, write_jpegs

_SEED = 2_000_005
_TARGETS = 8

Masks = Sequence[NDArray[np.bool_]]
"""Of shape (height, width) each."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A folder of JPEG files, the same as bytes, and true masks of the first frame, (height, width) each."""

    folder: Path
    jpegs: Sequence[bytes]
    masks: Masks

    def prompts(self, objects: int) -> Masks:
        """That many masks; where there are not so many things to be seen they come again."""
        return [self.masks[number % len(self.masks)] for number in range(objects)]

    def shapes(self, objects: int) -> list[Shape]:
        """The same as an annotator draws them."""
        return [Shape.mask(mask) for mask in self.prompts(objects)]


def make_clip(folder: Path, frames: int, size: tuple[int, int]) -> Clip:
    """Write a synthetic video of `size` (width, height) to a folder."""
    video = make_video(_SEED, crowd(_TARGETS), frames, size)
    folder.mkdir(parents=True)
    write_jpegs(video.frames, folder)
    masks = [video.mask(0, number) for number in range(1, video.num_objects + 1)]
    return Clip(folder, [path.read_bytes() for path in sorted(folder.iterdir())], masks)
