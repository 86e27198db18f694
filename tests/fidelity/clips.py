"""Clips on disk, as SAM2's predictor reads them, with the very pixels that it sees."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.demo.footage import carphone
from tests.tiny_sam2.synthetic_video import DIFFICULTIES, Difficulty, make_video, write_jpegs

_ELLIPSES = ((90, 65, 22, 33), (108, 113, 17, 8), (30, 75, 28, 32))
"""Where objects lie on the first frame of the real footage: center x and y, half of width and height."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A folder of JPEG files, their decoded frames (frames, height, width, 3), and the objects' labels.

    Real footage has the labels of its first frame throughout.
    """

    folder: Path
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    num_objects: int

    def mask(self, frame: int, obj: int) -> NDArray[np.bool_]:
        """The visible pixels of object `obj` (from 1) on a frame."""
        visible: NDArray[np.bool_] = self.labels[frame] == obj
        return visible


def write_clip(
    folder: Path, seed: int, level: str | Difficulty, num_frames: int, size: tuple[int, int] = (240, 180)
) -> Clip:
    """Make the synthetic video of a seed and write it to a folder."""
    video = make_video(seed, level, num_frames, size)
    return _written(folder, video.frames, video.labels, video.num_objects)


def write_footage(folder: Path, num_frames: int) -> Clip:
    """Write real footage to a folder: a man talks in a moving car.  Labels: his face, his tie, a sunshade."""
    frames = carphone()[:num_frames]
    labels = np.zeros(frames.shape[:3], np.uint8)
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    for label, (x, y, width, height) in enumerate(_ELLIPSES, start=1):
        labels[:, ((columns - x) / width) ** 2 + ((rows - y) / height) ** 2 <= 1] = label
    return _written(folder, frames, labels, len(_ELLIPSES))


def crowd(num_objects: int) -> Difficulty:
    """Videos of so many targets, small enough to find room."""
    return dataclasses.replace(
        DIFFICULTIES["easy"], targets=(num_objects, num_objects), radius=(0.1, 0.14), contrast=0.3
    )


def _written(folder: Path, frames: NDArray[np.uint8], labels: NDArray[np.uint8], num_objects: int) -> Clip:
    write_jpegs(frames, folder)
    decoded = [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    return Clip(folder, np.stack(decoded), labels, num_objects)
