"""Clips on disk, as SAM2's predictor reads them, with the very pixels that it sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.tiny_sam2.synthetic_video import Difficulty, make_video, write_jpegs


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A folder of JPEG files, their decoded frames (frames, height, width, 3), and the true labels."""

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
    write_jpegs(video.frames, folder)
    frames = [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    return Clip(folder, np.stack(frames), video.labels, video.num_objects)
