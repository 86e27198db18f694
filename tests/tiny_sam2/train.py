"""Train the small SAM2.1 from scratch on synthetic video, on a CPU.

The prompt on a clip's first frame is its true mask, in some batches a click or a box; then one frame after
another goes through memory attention, mask decoder and memory encoder, with the model's own masks as memory.

    python -m tests.tiny_sam2.train --out a             # about 40 minutes on two cores
    python -m tests.tiny_sam2.train --out b --start-from a/train_state.pt \
        --seed 1 --lr 4e-4 --warmup 40 --phases 560x4x7         # a further cycle, 6 minutes
    python -m tests.tiny_sam2.train --out x --phases 50x3x4 --clips 40      # to see whether it runs

A seed fixes every batch and the first weights; sums over threads may still round differently from one machine
to another.  The weights that are kept are the running mean of the trained ones.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.learning import ClipTracker, frame_losses, validate
from tests.tiny_sam2.model import build_trainable
from tests.tiny_sam2.training_clips import Clips, box_around, click_inside, make_clips, sample_batch

VALIDATION_SEED = 1_000_000


class Training:
    """The model, the running mean of its weights, and the optimizer's state."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self.plan = [(length, videos) for steps, length, videos in _phases(args.phases) for _ in range(steps)]
        # No dropout anywhere, so evaluation mode trains too, and track_step then also returns the object
        # score.
        self.model = build_trainable(args.config, args.seed).eval()
        self.mean = copy.deepcopy(self.model)
        parameters = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": args.weight_decay},
                {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=args.lr,
            betas=(0.9, 0.98),
        )
        self.first_step = 0
        if args.start_from:
            self._load(args.start_from, weights="mean")
        if args.resume:
            self.first_step = self._load(args.out / "train_state.pt", weights="model")
        self._tracker = ClipTracker(self.model)
        self._mean_tracker = ClipTracker(self.mean)

    def _load(self, path: Path, *, weights: str) -> int:
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self.model.load_state_dict(state[weights])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def save(self, step: int) -> None:
        """Keep the mean weights, in half precision, and what `--resume` needs."""
        weights = {name: tensor.half() for name, tensor in self.mean.state_dict().items()}
        _write({"model": weights}, self._args.out / WEIGHTS.name)
        state = {
            "model": self.model.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": step,
        }
        _write(state, self._args.out / "train_state.pt")

    def step(self, step: int, clips: Clips) -> list[float]:
        """Learn from one batch; the losses of masks, predicted IoU and object score."""
        rng = np.random.default_rng([self._args.seed, step])
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(step)
        losses = self._losses(rng, clips, *self.plan[step])
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        decay = min(self._args.mean_decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for kept, new in zip(self.mean.parameters(), self.model.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        values: list[float] = losses.tolist()
        return values

    def validate(self, clips: Clips) -> tuple[float, float]:
        """How well the mean weights do on clips that were held out: see `learning.validate`."""
        return validate(self._mean_tracker, clips, batches=max(1, self._args.held_out // 5))

    def _rate(self, step: int) -> float:
        """The learning rate: a linear warm-up, then half a cosine down to 2 %."""
        rate: float = self._args.lr * min(1.0, (step + 1) / self._args.warmup)
        return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / len(self.plan))))

    def _losses(self, rng: np.random.Generator, clips: Clips, length: int, videos: int) -> torch.Tensor:
        batch = sample_batch(rng, clips, videos, length)
        prompt = None
        if rng.random() < self._args.click_share:
            prompt = (click_inside if rng.random() < 0.25 else box_around)(rng, batch.masks[:, 0])
        total = torch.zeros(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._args.bf16):
            for t, (_, decoded) in enumerate(self._tracker.track(batch, prompt)):
                with torch.autocast("cpu", enabled=False):
                    losses = frame_losses(decoded, batch.masks[:, t])
                # With a mask prompt the decoder's first mask is only a side task.
                weight = 0.3 if t == 0 and prompt is None else 1.0
                total = total + weight * losses / length
        return total


def _phases(text: str) -> list[tuple[int, int, int]]:
    """'2000x3x8,500x6x4' as steps, frames a clip and videos a batch of each phase."""
    phases = []
    for part in text.split(","):
        steps, length, videos = (int(number) for number in part.split("x"))
        phases.append((steps, length, videos))
    return phases


def _write(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def _training_clips(args: argparse.Namespace, side: int) -> Clips:
    """Clips of seeds from 0, from the cache folder where there is one."""
    if args.cache is None:
        return make_clips(0, args.clips, args.clip_length, side, "training clips")
    name = f"{args.clips}x{args.clip_length}x{side}"
    frames, labels = (args.cache / f"{name}_{kind}.npy" for kind in ("frames", "labels"))
    if not labels.exists():
        clips = make_clips(0, args.clips, args.clip_length, side, "training clips")
        args.cache.mkdir(parents=True, exist_ok=True)
        np.save(frames, clips.frames)
        np.save(labels, clips.labels)
    return Clips(np.load(frames, mmap_mode="r"), np.load(labels, mmap_mode="r"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the small SAM2.1 from scratch on synthetic video.")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and training state")
    parser.add_argument(
        "--phases",
        default="800x3x8,1100x5x6,550x8x4",
        help="steps x frames a clip x videos a batch, in order",
    )
    parser.add_argument("--clips", type=int, default=1500, help="training videos")
    parser.add_argument("--held-out", type=int, default=20, help="validation videos")
    parser.add_argument("--clip-length", type=int, default=24)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument(
        "--click-share", type=float, default=0.2, help="share of batches prompted by a click or a box"
    )
    parser.add_argument("--mean-decay", type=float, default=0.998, help="of the weights' mean")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast in training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder to keep the training clips in")
    parser.add_argument("--start-from", type=Path, help="begin with the weights of a train_state.pt")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/train_state.pt")
    parser.add_argument("--validate-every", type=int, default=200)
    return parser.parse_args()


def main() -> None:
    """Train, and say from time to time how it goes."""
    args = _arguments()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    training = Training(args)
    side = training.model.image_size
    clips = _training_clips(args, side)
    held_out = make_clips(VALIDATION_SEED, args.held_out, args.clip_length, side, "validation clips")
    smooth: dict[str, float] = {}
    began = time.monotonic()
    last = len(training.plan)
    bar = tqdm(range(training.first_step, last), "training", initial=training.first_step, total=last)
    for step in bar:
        for name, value in zip(("mask", "iou", "score"), training.step(step, clips), strict=True):
            smooth[name] = 0.98 * smooth.get(name, value) + 0.02 * value
        bar.set_postfix({name: f"{value:.3f}" for name, value in smooth.items()}, refresh=False)
        if (step + 1) % args.validate_every == 0 or step + 1 == last:
            training.save(step + 1)
            iou, right = training.validate(held_out)
            bar.write(
                f"step {step + 1}, {time.monotonic() - began:.0f} s: losses {smooth}, "
                f"held-out IoU {iou:.3f}, object score right {right:.3f}"
            )


if __name__ == "__main__":
    main()
