"""The figures of `docs/fidelity.md`, measured anew and printed as its tables.

    python -m tests.fidelity.figures polygons
    python -m tests.fidelity.figures batches precisions [--device cuda]

Polygons give the same figures everywhere.  The others depend on machine and device; with CUDA the batches are
those of an agent on a GPU.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_device import Precision, open_device
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.polygons import outline, rasterize
from tests.fidelity.clips import Clip, crowd, write_clip, write_footage
from tests.fidelity.tracks import Logits, mask_prompt, one_thread, track
from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.synthetic_video import Difficulty, make_video

Bitmap = NDArray[np.bool_]

LEAST_IOU = 0.95
"""Of each object's masks over a whole clip, in bfloat16 against float32."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fidelity.figures")
    parser.add_argument("tables", nargs="+", choices=["polygons", "batches", "precisions"])
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    one_thread()
    model = build(VolumeModel(CONFIG, WEIGHTS), open_device(chosen.device))
    tables: dict[str, Callable[[], str]] = {
        "polygons": polygons,
        "batches": lambda: batches(model),
        "precisions": lambda: precisions(model),
    }
    print("\n\n".join(tables[name]() for name in chosen.tables))


def polygons() -> str:
    """How much of masks a polygon keeps, and with how many corners."""
    rows = []
    for name, masks in _families():
        kept, corners = [], []
        for mask in masks:
            points = outline(mask)
            if points is None:
                raise ValueError("a mask of the table is empty")
            kept.append(iou(mask, rasterize(points, (mask.shape[1], mask.shape[0]))))
            corners.append(len(points) // 2)
        rows.append(
            (name, str(len(masks)), f"{np.mean(kept):.3f}", f"{min(kept):.3f}", f"{np.mean(corners):.0f}")
        )
    return _table(("masks", "how many", "mean IoU", "lowest", "corners"), rows)


def batches(model: BuiltModel) -> str:
    """How far objects in one batch are from objects one by one, in float32."""
    rows = []
    for objects, frames, level in ((3, 24, crowd(3)), (8, 20, crowd(8)), (2, 64, crowd(2)), (3, 36, None)):
        with tempfile.TemporaryDirectory() as folder:
            clip = _clip(Path(folder), 2_000_005, level, frames)
            single = tracked(model, "float32", clip, batch_size=1)
            batched = tracked(model, "float32", clip, batch_size=8)
        by_frame = np.abs(batched - single).max(axis=(0, 2, 3))
        flipped = int(((batched > 0) != (single > 0)).sum())
        name = "real footage" if level is None else "synthetic"
        rows.append(
            (
                f"{objects} objects, {frames} frames, {name}",
                f"{by_frame.max():.1e}",
                f"{by_frame[-8:].max():.1e}",
                str(flipped),
            )
        )
    heads = ("clip", "largest difference of a logit", "in its last 8 frames", "pixels that differ")
    return _table(heads, rows)


def precisions(model: BuiltModel) -> str:
    """What bfloat16 costs against float32 on the same device: IoU of the masks."""
    rows = []
    for level, seeds in (("easy", range(5)), ("medium", range(5)), (None, range(1))):
        clips, masks = [], []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                clip = _clip(Path(folder), 2_000_000 + seed, level, 30)
                full, rounded = (tracked(model, each, clip) > 0 for each in _PRECISIONS)
            clips += ious(full, rounded)
            for pair in zip(full, rounded, strict=True):
                masks += ious(*pair)
        name = "real footage" if level is None else f"{level}, {len(seeds)} videos"
        numbers = (np.mean(masks), np.median(masks), min(masks), min(clips))
        rows.append((name, str(len(masks)), *(f"{number:.3f}" for number in numbers)))
    heads = ("clips of 30 frames", "masks", "mean IoU", "median", "lowest", "lowest of an object's clip")
    return _table(heads, rows)


_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def tracked(model: BuiltModel, precision: Precision, clip: Clip, batch_size: int | None = None) -> Logits:
    """Logits (objects, frames, height, width) of all objects of a clip; a new agent tracks every frame."""
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    return np.array(track(lambda: Sam2Tracker(model, precision, batch_size), clip.frames, prompts))


def ious(one: Logits | Bitmap, other: Logits | Bitmap) -> list[float]:
    """IoU of each object's masks over the whole clip, or of one object's masks frame by frame."""
    return [iou(mine > 0, theirs > 0) for mine, theirs in zip(one, other, strict=True)]


def iou(one: Bitmap, other: Bitmap) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _clip(folder: Path, seed: int, level: str | Difficulty | None, num_frames: int) -> Clip:
    return write_footage(folder, num_frames) if level is None else write_clip(folder, seed, level, num_frames)


def _families() -> Iterable[tuple[str, list[Bitmap]]]:
    """Masks of each kind, by name."""
    yield "objects of the easy videos, 240 x 180", list(_objects((240, 180)))
    yield "the same at 960 x 720", list(_objects((960, 720)))
    yield "disks, 2 to 12 pixels wide", [_disk(radius) for radius in range(1, 7)]
    yield "lines, arcs and waves, 1 to 5 pixels thick", list(_thin())
    yield "half of a 4K frame", [_ellipse((3840, 2160), 1700, 900)]
    yield "holed: rings, 10 to 40 pixels thick", [_disk(60) & ~_disk(60 - width) for width in (10, 20, 40)]
    yield (
        "split: two disks, the smaller one lost",
        [_disk(30, -50) | _disk(radius, 50) for radius in (5, 15, 25)],
    )


def _objects(size: tuple[int, int]) -> Iterable[Bitmap]:
    for seed in range(2_000_000, 2_000_020):
        video = make_video(seed, "easy", 2, size)
        for obj in range(1, video.num_objects + 1):
            yield video.mask(1, obj)


def _thin() -> Iterable[Bitmap]:
    wave = np.array([(x, round(90 + 40 * np.sin(x / 18))) for x in range(10, 230, 2)])
    for thickness in (1, 2, 3, 5):
        canvases = [np.zeros((180, 240), np.uint8) for _ in range(3)]
        cv2.line(canvases[0], (15, 20), (220, 150), 1, thickness)
        cv2.ellipse(canvases[1], (120, 90), (90, 60), 0, 0, 300, 1, thickness)
        cv2.polylines(canvases[2], [wave], isClosed=False, color=1, thickness=thickness)
        yield from (canvas > 0 for canvas in canvases)


def _disk(radius: int, shift: int = 0) -> Bitmap:
    return _ellipse((240, 180), radius, radius, shift)


def _ellipse(size: tuple[int, int], width: int, height: int, shift: int = 0) -> Bitmap:
    canvas = np.zeros((size[1], size[0]), np.uint8)
    cv2.ellipse(canvas, (size[0] // 2 + shift, size[1] // 2), (width, height), 0, 0, 360, 1, cv2.FILLED)
    return canvas > 0


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
