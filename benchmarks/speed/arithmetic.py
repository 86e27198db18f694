"""The arithmetic floor: the network's operations over the rate at which the device multiplies matrices."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.clip import Clip, Masks
from benchmarks.speed.own_loop import OwnLoop
from sam2_agent.adapters.sam2_device import choose_precision


@dataclass(frozen=True, slots=True)
class Operations:
    """Floating point operations of a tracked frame: the image encoder's, and each object's."""

    encoder: float
    each: float

    def of(self, objects: int) -> float:
        """With so many objects."""
        return self.encoder + objects * self.each


def count(own: OwnLoop, clip: Clip) -> Operations:
    """Count while SAM2 runs, mean over the clip's frames; what a second object adds is each one's."""
    one, two = (_of_a_frame(own, clip, objects) for objects in (1, 2))
    return Operations(encoder=2 * one - two, each=two - one)


def _of_a_frame(own: OwnLoop, clip: Clip, objects: int) -> float:
    prompts = clip.prompts(objects)
    all_frames, first = (_counted(own, clip, prompts, last=last) for last in (None, 0))
    return (all_frames - first) / (len(clip.jpegs) - 1)


def _counted(own: OwnLoop, clip: Clip, prompts: Masks, *, last: int | None) -> int:
    # Only this way to compute attention is made of products that the counter knows on every device.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        own.run(clip, prompts, last=last)
    return int(counter.get_total_flops())


def rate(device: torch.device) -> float:
    """Floating point operations a second of a large matrix product, in the agent's precision."""
    on_gpu = device.type == "cuda"
    side = 8192 if on_gpu else 1024
    bfloat16 = choose_precision("auto", device) == "bfloat16"
    left, right = (
        torch.randn(side, side, device=device, dtype=torch.bfloat16 if bfloat16 else torch.float32)
        for _ in range(2)
    )
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        torch.matmul(left, right)
        if on_gpu:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best
