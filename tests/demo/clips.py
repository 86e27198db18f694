"""The two clips that are tracked: synthetic video, where the truth is known, and real footage."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.demo.footage import carphone
from tests.demo.shapes import Bitmap
from tests.tiny_sam2.synthetic_video import DIFFICULTIES, make_video

_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Target:
    """An object to track: its name in the pictures, and how the annotator gives it on the first frame."""

    name: str
    shape_type: Literal["mask", "polygon"]
    first: Bitmap


@dataclass(frozen=True, slots=True)
class Correction:
    """The annotator draws target `target` anew on `frame`, and runs again from there for it alone."""

    frame: int
    target: int
    drawn: Bitmap


@dataclass(frozen=True)
class Clip:
    """A video as a CVAT task holds it, and what the annotator does with it.

    `jpegs` are the task's images; `truth`, where it is known, is bool of shape (targets,
    frames, height, width).
    """

    name: str
    jpegs: tuple[bytes, ...]
    targets: tuple[Target, ...]
    truth: Bitmap | None = None
    correction: Correction | None = None

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """The decoded images: uint8 of shape (frames, height, width, 3)."""
        return np.stack([np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in self.jpegs])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        _, height, width, _ = self.frames.shape
        return width, height


def synthetic(num_frames: int = 60) -> Clip:
    """A star, a heart and a cloud that pass before and behind each other, and a blue star that nobody tracks.

    The generator's easy level with more to see; a seed that the model was neither trained nor measured with.
    Just past half way the heart comes out from behind the star with a poor outline: that is corrected.
    """
    level = replace(DIFFICULTIES["easy"], targets=(3, 3), distractors=(1, 1), roam=0.34, speed=0.016)
    video = make_video(3_000_483, level, num_frames, (400, 300))
    truth = np.stack([video.labels == label for label in range(1, video.num_objects + 1)])
    star, heart, cloud = truth
    targets = (
        Target("star", "mask", star[0]),
        Target("heart", "polygon", heart[0]),
        Target("cloud", "mask", cloud[0]),
    )
    middle = round(0.55 * num_frames)
    return Clip("synthetic", _jpegs(video.frames), targets, truth, Correction(middle, 1, heart[middle]))


def real_footage(num_frames: int = 60) -> Clip:
    """A talking man in a car, enlarged threefold; an ellipse around his face is what the annotator draws."""
    frames = carphone()[:num_frames]
    _, height, width, _ = frames.shape
    size = (3 * width, 3 * height)
    enlarged = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in frames]
    face = _ellipse(size, centre=(270, 195), radii=(66, 100))
    return Clip("footage", _jpegs(enlarged), (Target("face", "mask", face),))


def _ellipse(size: tuple[int, int], *, centre: tuple[float, float], radii: tuple[float, float]) -> Bitmap:
    x, y = np.meshgrid(np.arange(size[0]) - centre[0], np.arange(size[1]) - centre[1])
    inside: Bitmap = (x / radii[0]) ** 2 + (y / radii[1]) ** 2 <= 1
    return inside


def _jpegs(frames: Iterable[NDArray[np.uint8]]) -> tuple[bytes, ...]:
    encoded = []
    for frame in frames:
        with io.BytesIO() as buffer:
            Image.fromarray(frame).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
            encoded.append(buffer.getvalue())
    return tuple(encoded)
