"""SAM2's own loop, which nothing can be faster than without another program for the same arithmetic."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.clip import Clip, Masks
from benchmarks.speed.models import Model
from sam2_agent.adapters.sam2_device import choose_precision
from tests.tiny_sam2.model import build_predictor

OnFrame = Callable[[int, torch.Tensor], None]


@dataclass(frozen=True, slots=True)
class Propagated:
    """Milliseconds: to prompt all objects, and for each frame after the first."""

    prompts: float
    frames: Sequence[float]

    @property
    def frame(self) -> float:
        """Of a frame, mean."""
        return sum(self.frames) / len(self.frames)

    @property
    def whole(self) -> float:
        """Of all of it."""
        return self.prompts + sum(self.frames)


class OwnLoop:
    """`SAM2VideoPredictor.propagate_in_video`, in the agent's precision.

    It has read and resized all frames before its time begins to count: only the model counts.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        self.predictor: Any = build_predictor(model.config, model.checkpoint).to(device)
        self._device = device
        self._precision = choose_precision("auto", device)

    def run(
        self,
        clip: Clip,
        prompts: Masks,
        *,
        last: int | None = None,
        on_frame: OnFrame = lambda _frame, _logits: None,
    ) -> Propagated:
        """Track to frame `last`, or through the clip; `on_frame` gets each frame's logits.

        They are of shape (objects, 1, height, width).
        """
        with Path(os.devnull).open("w") as void, redirect_stderr(void), self._inference():
            state = self.predictor.init_state(str(clip.folder))
            began = self._now()
            for number, mask in enumerate(prompts):
                self.predictor.add_new_mask(state, 0, number, mask)
            propagation = self.predictor.propagate_in_video(state, max_frame_num_to_track=last)
            on_frame(0, next(propagation)[2])
            moments = [self._now()]
            for frame, _, logits in propagation:
                moments.append(self._now())
                on_frame(frame, logits)
        steps = [1000 * (after - before) for before, after in pairwise(moments)]
        return Propagated(1000 * (moments[0] - began), steps)

    def _inference(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == "bfloat16")

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch has so many in this process."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
