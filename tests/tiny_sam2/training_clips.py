"""What the small model learns from: clips of synthetic video, and prompts on their first frames."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from tests.tiny_sam2.synthetic_video import make_video

FRAME_SIZES = [(192, 144), (192, 144), (176, 144), (192, 108), (160, 160), (144, 192)]
LEVELS = ["easy", "medium", "hard", "extreme", "medium", "hard"]
LEVEL_SHARES = {"easy": 1.5, "medium": 1.2, "hard": 0.8, "extreme": 0.33}
"""How often a clip of a level is drawn, in proportion."""

OBJECTS_PER_CLIP = 2
LEAST_AREA = 0.008
"""An object is fit to be prompted where it shows this share of the frame."""

PIXEL_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
PIXEL_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

PointInputs = dict[str, torch.Tensor]
"""What SAM takes as points: `point_coords` (objects, points, 2) and `point_labels` (objects, points)."""


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Videos at the model's own size: uint8 (clips, T, side, side, 3) and (clips, T, side, side)."""

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch of clips with some objects of each.

    `images` is float32 of shape (clips, T, 3, side, side), `masks` float32 of shape (clips * objects, T,
    side, side). `numbers` are the frames' numbers, for all clips: those after the first may jump, so that the
    model meets the long distances to the prompted frame that a long video has.
    """

    images: torch.Tensor
    masks: torch.Tensor
    numbers: list[int]


def make_clips(first_seed: int, count: int, length: int, side: int, title: str) -> Clips:
    """Make the videos of `count` seeds, on all cores."""
    frames = np.empty((count, length, side, side, 3), np.uint8)
    labels = np.empty((count, length, side, side), np.uint8)
    jobs = [(first_seed + place, length, side) for place in range(count)]
    with multiprocessing.get_context("fork").Pool() as pool:
        for place, clip in enumerate(tqdm(pool.imap(_make_clip, jobs, 4), title, total=count, mininterval=2)):
            frames[place], labels[place] = clip
    return Clips(frames, labels)


def _make_clip(job: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    seed, length, side = job
    size = FRAME_SIZES[seed % len(FRAME_SIZES)]
    video = make_video(seed, LEVELS[seed % len(LEVELS)], length, size)
    frames = [np.asarray(Image.fromarray(frame).resize((side, side))) for frame in video.frames]
    labels = [
        np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.NEAREST))
        for frame in video.labels
    ]
    return np.stack(frames), np.stack(labels)


def sample_batch(rng: Generator, clips: Clips, count: int, length: int, *, augment: bool = True) -> Batch:
    """Draw `count` clips of `length` frames, and `OBJECTS_PER_CLIP` objects of each."""
    images: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.bool_]] = []
    shares = np.array([LEVEL_SHARES[LEVELS[place % len(LEVELS)]] for place in range(len(clips.labels))])
    shares = shares / shares.sum()
    while len(images) < count:
        place = int(rng.choice(len(shares), p=shares) if augment else rng.integers(len(shares)))
        steps = _sample_steps(rng, clips.labels.shape[1], length, augment=augment)
        labels = clips.labels[place, steps]
        area = np.bincount(labels[0].ravel(), minlength=5)[1:]
        seen = np.flatnonzero(area >= LEAST_AREA * labels[0].size) + 1
        if len(seen) == 0:
            continue
        chosen = rng.choice(seen, OBJECTS_PER_CLIP, replace=len(seen) < OBJECTS_PER_CLIP)
        image, mask = clips.frames[place, steps], np.stack([labels == label for label in chosen])
        if augment:
            image, mask = _flip(rng, image, mask)
        images.append(np.ascontiguousarray(image))
        masks.append(np.ascontiguousarray(mask))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 1, 4, 2, 3).float() / 255
    numbers = np.arange(length)
    if augment and rng.random() < 0.5:
        numbers[1:] += int(rng.integers(0, 45))
    truth = torch.from_numpy(np.concatenate(masks)).float()
    return Batch((pixels - PIXEL_MEAN) / PIXEL_STD, truth, numbers.tolist())


def _sample_steps(rng: Generator, total: int, length: int, *, augment: bool) -> NDArray[np.int64]:
    """Which frames of a clip: evenly spaced, sometimes with a prompt from long before, or backwards."""
    widest = (total - 1) // (length - 1)
    stride = min(int(rng.integers(1, max(2, min(3, widest)) + 1)), widest)
    start = int(rng.integers(total - stride * (length - 1)))
    steps = start + stride * np.arange(length)
    if augment and rng.random() < 0.3:
        steps[0] = int(rng.integers(0, start + 1))
    if augment and rng.random() < 0.5:
        steps = total - 1 - steps
    return steps


def _flip(
    rng: Generator, image: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Swap colors, mirror and transpose at random."""
    image = image[..., rng.permutation(3)]
    for axis in (1, 2):
        if rng.random() < 0.5:
            image, mask = np.flip(image, axis), np.flip(mask, axis + 1)
    if rng.random() < 0.5:
        image, mask = image.swapaxes(1, 2), mask.swapaxes(2, 3)
    return image, mask


def click_inside(rng: Generator, masks: Sequence[torch.Tensor] | torch.Tensor) -> PointInputs:
    """One click in each mask (side, side), away from its edge where it can be."""
    points = []
    for mask in masks:
        inner = -torch.nn.functional.max_pool2d(-mask[None, None], 9, 1, 4)[0, 0]
        rows, columns = torch.nonzero(inner if inner.any() else mask, as_tuple=True)
        picked = int(rng.integers(len(rows)))
        points.append([[columns[picked] + 0.5, rows[picked] + 0.5]])
    return {
        "point_coords": torch.tensor(points, dtype=torch.float32),
        "point_labels": torch.ones(len(points), 1, dtype=torch.int32),
    }


def box_around(rng: Generator, masks: Sequence[torch.Tensor] | torch.Tensor) -> PointInputs:
    """A box around each mask (side, side), a little off; SAM takes its corners as points labelled 2 and 3."""
    boxes = []
    for mask in masks:
        rows, columns = torch.nonzero(mask, as_tuple=True)
        box = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float32)
        boxes.append(box + rng.normal(0, 1.5, (2, 2)))
    return {
        "point_coords": torch.tensor(np.stack(boxes), dtype=torch.float32),
        "point_labels": torch.tensor([[2, 3]] * len(boxes), dtype=torch.int32),
    }
