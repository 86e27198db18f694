"""Measure the small model on held-out synthetic video, by sam2's unmodified predictor.

Each object is prompted on the first frame (its true mask, a box around it, or a click in it), and
`SAM2VideoPredictor` tracks all of them to the end.

    python -m tests.tiny_sam2.evaluate --videos 20 --sheet sheet.png --json results.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.model import build_predictor
from tests.tiny_sam2.scoring import Score, score
from tests.tiny_sam2.sheet import contact_sheet
from tests.tiny_sam2.synthetic_video import DIFFICULTIES, Video, make_video, write_jpegs

TEST_SEED = 2_000_000
"""Test videos have seeds from here on; training has those from 0, validation those from 1,000,000."""

PromptKind: TypeAlias = Literal["mask", "box", "click"]


def track(predictor: Any, video: Video, kind: PromptKind = "mask") -> tuple[NDArray[np.bool_], float]:
    """Track all objects: masks (frames, objects, height, width), and the seconds that propagating took."""
    masks = np.zeros((len(video.frames), video.num_objects, *video.labels.shape[1:]), np.bool_)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        write_jpegs(video.frames, Path(folder))
        state = predictor.init_state(folder)
        for obj in range(1, video.num_objects + 1):
            _prompt(predictor, state, obj, video.mask(0, obj), kind)
        start = time.perf_counter()
        for frame, objects, logits in predictor.propagate_in_video(state):
            for place, obj in enumerate(objects):
                masks[frame, obj - 1] = (logits[place, 0] > 0).numpy()
        return masks, time.perf_counter() - start


def _prompt(predictor: Any, state: Any, obj: int, mask: NDArray[np.bool_], kind: PromptKind) -> None:
    rows, columns = np.nonzero(mask)
    match kind:
        case "mask":
            predictor.add_new_mask(state, 0, obj, mask)
        case "box":
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            predictor.add_new_points_or_box(state, 0, obj, box=np.array(box, np.float32))
        case "click":
            middle = np.argmin((columns - columns.mean()) ** 2 + (rows - rows.mean()) ** 2)
            point = np.array([[columns[middle] + 0.5, rows[middle] + 0.5]], np.float32)
            predictor.add_new_points_or_box(state, 0, obj, points=point, labels=np.array([1], np.int32))


def _figures(total: Score, per_video: list[float], milliseconds: float) -> dict[str, Any]:
    """What is kept of a level, under the names of `results.json`."""
    named = {
        "J": total.shown,
        "J clear": total.clear,
        "copied": total.copied,
        "absent": total.absent,
        "lost": total.lost,
    }
    return {
        **{name: float(np.mean(values)) if values else None for name, values in named.items()},
        "ms": milliseconds,
        "videos": len(per_video),
        "absent_frames": len(total.absent),
        "shown_frames": len(total.shown),
        "worst_video_J": min(per_video),
        "median_video_J": float(np.median(per_video)),
        "per_video_J": per_video,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the small model on held-out synthetic video.")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--videos", type=int, default=20, help="of each level")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 180), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--levels", nargs="+", default=list(DIFFICULTIES), choices=list(DIFFICULTIES))
    parser.add_argument("--prompt", default="mask", choices=get_args(PromptKind))
    parser.add_argument("--first-seed", type=int, default=TEST_SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet", type=Path, help="write a picture of the first video of each level")
    parser.add_argument("--json", type=Path, help="write the figures")
    return parser.parse_args()


def main() -> None:
    """Print the figures of each level."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    predictor = build_predictor(args.config, args.weights)
    results: dict[str, dict[str, Any]] = {}
    pictured = []
    for level in args.levels:
        total, seconds, steps, per_video = Score(), 0.0, 0, []
        for number in tqdm(range(args.videos), level, leave=False):
            video = make_video(args.first_seed + number, level, args.frames, tuple(args.size))
            masks, spent = track(predictor, video, args.prompt)
            found = score(video, masks)
            total.add(found)
            per_video.append(float(np.mean(found.shown)))
            seconds += spent
            steps += (args.frames - 1) * video.num_objects
            if number == 0:
                pictured.append((video, masks))
        results[level] = _figures(total, per_video, 1000 * seconds / steps)
        brief = {name: round(value, 4) for name, value in results[level].items() if isinstance(value, float)}
        print(level, brief, flush=True)
    if args.sheet:
        contact_sheet(pictured).save(args.sheet)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
