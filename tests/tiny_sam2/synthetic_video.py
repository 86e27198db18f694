"""Synthetic video with exact masks: textured shapes over a textured, panning ground.

Everything is a pure function of a seed: the same seed, difficulty, length and size give the same bytes.
Lengths inside are in units of the frame's shorter side, so a seed shows the same scene at any size of the
same proportions.

    video = make_video(seed=7, difficulty="medium", num_frames=60, size=(240, 180))
    video.frames        # uint8 (60, 180, 240, 3)
    video.mask(3, 1)    # bool (180, 240): the visible pixels of object 1 on frame 3

Only numpy and Pillow are needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

from tests.tiny_sam2.difficulty import DIFFICULTIES, Difficulty
from tests.tiny_sam2.surfaces import Floats, far_color, texture
from tests.tiny_sam2.things import Thing, wave

__all__ = ["DIFFICULTIES", "Difficulty", "Video", "make_video", "write_jpegs"]

_STREAM = 20250607
"""Keeps a seed's numbers apart from those of other generators with the same seed."""

_GRAIN_MARGIN = 32


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """Frames and what is seen on them.

    `frames` is RGB, uint8 of shape (frames, height, width, 3); `labels` is uint8 of shape (frames, height,
    width): k where tracked object k (from 1) is seen, else 0.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    num_objects: int

    def mask(self, frame: int, obj: int) -> NDArray[np.bool_]:
        """The visible pixels of object `obj` (from 1) on a frame."""
        visible: NDArray[np.bool_] = self.labels[frame] == obj
        return visible


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """The ground's texture, and things from back to front with their labels (0 for what is not tracked)."""

    ground: Floats
    things: list[tuple[int, Thing]]
    num_targets: int


def make_video(
    seed: int,
    difficulty: str | Difficulty = "medium",
    num_frames: int = 60,
    size: tuple[int, int] = (240, 180),
) -> Video:
    """Make the video of a seed.

    On the first frame every target shows at least half of itself and at least 1 % of the frame, unless 60
    scenes in a row fail to.

    Args:
        seed: any whole number from 0.
        difficulty: a key of `DIFFICULTIES`, or one's own.
        num_frames: how many frames.
        size: width and height in pixels.
    """
    level = DIFFICULTIES[difficulty] if isinstance(difficulty, str) else difficulty
    width, height = size
    rng = np.random.default_rng([int(seed), _STREAM])
    t = np.arange(num_frames, dtype=np.float32)
    for _ in range(60):
        scene = _draw_scene(rng, level, t, (width / min(size), height / min(size)))
        if _targets_show(scene, height, width):
            break
    camera = _Camera(rng, level, t, size)
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    labels = np.zeros((num_frames, height, width), np.uint8)
    for index in range(num_frames):
        image = camera.see_ground(scene.ground, index)
        for label, thing in scene.things:
            cover = thing.cover(index, height, width)
            if cover is None:
                continue
            behind = image[cover.rows, cover.columns]
            image[cover.rows, cover.columns] += cover.opacity[..., None] * (cover.colors - behind)
            labels[index][cover.rows, cover.columns][cover.opacity > 0.5] = label
        frames[index] = camera.expose(rng, image, index)
    return Video(frames, labels, scene.num_targets)


def write_jpegs(frames: Iterable[NDArray[np.uint8]], folder: Path, quality: int = 95) -> None:
    """Write frames as 00000.jpg, 00001.jpg, ... as SAM2's video predictor reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:05d}.jpg", quality=quality)


def _draw_scene(rng: Generator, level: Difficulty, t: Floats, extent: tuple[float, float]) -> _Scene:
    ground_color = rng.random(3).astype(np.float32)
    ground = texture(rng, ground_color, size=192, strength=0.22)
    colors = [ground_color]
    targets: list[Thing] = []
    for _ in range(_count(rng, level.targets)):
        color = far_color(rng, colors, level.contrast)
        colors.append(color)
        targets.append(Thing(rng, level, t, extent, color))
    distractors: list[Thing] = []
    for _ in range(_count(rng, level.distractors)):
        model = targets[int(rng.integers(len(targets)))]
        if rng.random() < level.twin:
            color = np.clip(model.color + rng.normal(0, 0.06, 3), 0, 1).astype(np.float32)
        else:
            color = far_color(rng, colors, level.contrast)
        distractors.append(Thing(rng, level, t, extent, color))
    for thing in targets:
        if rng.random() < level.leave / len(targets):
            thing.leave(rng, t, extent)
    labeled = [*enumerate(targets, 1), *((0, thing) for thing in distractors)]
    things = [labeled[place] for place in rng.permutation(len(labeled))]
    for _ in range(_count(rng, level.occluders)):
        color = far_color(rng, colors, 0.3)
        things.append((0, Thing(rng, level, t, extent, color, radius=rng.uniform(0.16, 0.28), roam=0.5)))
    if rng.random() < level.cross:
        other = targets[int(rng.integers(len(targets)))]
        color = far_color(rng, colors, 0.3)
        crossing = Thing(rng, level, t, extent, color, radius=level.cover * other.radius)
        crossing.pass_over(rng, t, other, rng.uniform(0.02, 0.035))
        things.append((0, crossing))
    return _Scene(ground, things, len(targets))


def _count(rng: Generator, bounds: tuple[int, int]) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _targets_show(scene: _Scene, height: int, width: int) -> bool:
    """Whether the first frame is fit to prompt on: every target shows enough of itself."""
    labels = np.zeros((height, width), np.uint8)
    for label, thing in scene.things:
        cover = thing.cover(0, height, width)
        if cover is not None:
            labels[cover.rows, cover.columns][cover.opacity > 0.5] = label
    unit = min(height, width)
    for label, thing in scene.things:
        seen = int((labels == label).sum())
        if label and (seen < 0.5 * np.pi * (thing.size[0] * unit) ** 2 or seen < 0.01 * width * height):
            return False
    return True


class _Camera:
    """How the ground moves, and light, tint and grain of the picture."""

    def __init__(self, rng: Generator, level: Difficulty, t: Floats, size: tuple[int, int]) -> None:
        self._width, self._height = size
        unit = min(size)
        self._pan_x = rng.uniform(-1, 1) * level.pan * unit * t + wave(rng, t, 50, level.pan * unit * 2)
        self._pan_y = rng.uniform(-1, 1) * level.pan * unit * t + wave(rng, t, 60, level.pan * unit * 2)
        self._light = 1 + wave(rng, t, rng.uniform(20, 60), level.light)
        self._tint = (1 + 0.3 * level.light * rng.uniform(-1, 1, 3)).astype(np.float32)
        slope = np.linspace(-1, 1, self._width, dtype=np.float32)[None, :, None] * level.light
        self._slope = slope * np.float32(rng.uniform(-1, 1))
        grain_shape = (self._height + _GRAIN_MARGIN, self._width + _GRAIN_MARGIN, 3)
        self._grain = rng.normal(0, level.noise, grain_shape).astype(np.float32)
        self._texels_per_pixel = 160.0 / unit

    def see_ground(self, ground: Floats, index: int) -> Floats:
        """The ground on a frame, bilinear between its texels: float32 (height, width, 3)."""
        texels = len(ground)
        x = (np.arange(self._width) + self._pan_x[index]) * self._texels_per_pixel
        y = (np.arange(self._height) + self._pan_y[index]) * self._texels_per_pixel
        part_x = (x - np.floor(x))[None, :, None].astype(np.float32)
        part_y = (y - np.floor(y))[:, None, None].astype(np.float32)
        column, row = np.floor(x).astype(int) % texels, np.floor(y).astype(int) % texels
        above = ground[row]
        band = above + (ground[(row + 1) % texels] - above) * part_y
        left = band[:, column]
        seen: Floats = left + (band[:, (column + 1) % texels] - left) * part_x
        return seen

    def expose(self, rng: Generator, image: Floats, index: int) -> NDArray[np.uint8]:
        """The picture that is kept of what is seen: with this frame's light and grain, in 0..255."""
        image *= (self._light[index] + self._slope) * self._tint
        top, left = rng.integers(0, _GRAIN_MARGIN, 2)
        image += self._grain[top : top + self._height, left : left + self._width]
        return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
