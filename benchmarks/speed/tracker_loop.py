"""Our encoder and step without an agent around them: what SAM2's own loop is compared with alone."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from benchmarks.speed.clip import Clip, Masks
from benchmarks.speed.models import Model
from sam2_agent.adapters.sam2_build import VolumeModel, build
from sam2_agent.adapters.sam2_device import choose_precision
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import POINTER_FRAMES, Context, MaskPrompt, Remembered, Resized

_WINDOW = 16


class TrackerLoop:
    """`Sam2Tracker` on frames that are read and resized before, in batches as the agent gives them."""

    def __init__(self, model: Model, device: torch.device) -> None:
        built = build(VolumeModel(model.config, model.checkpoint), device)
        self._tracker = Sam2Tracker(built, choose_precision("auto", device))

    def run(self, clip: Clip, prompts: Masks) -> float:
        """Milliseconds of a frame after the first, mean: encoding, and a step of each object."""
        frames = [self._read(jpeg) for jpeg in clip.jpegs]
        begun = self._tracker.prompt(
            self._tracker.encode(frames[0]), [MaskPrompt(np.asarray(mask, dtype=bool)) for mask in prompts]
        )
        first = [output.remembered for output in begun]
        later: list[list[Remembered]] = [[] for _ in first]
        began = time.perf_counter()
        for index in range(1, len(frames)):
            features = self._tracker.encode(frames[index])
            contexts = [
                Context(
                    index=index,
                    window=min(_WINDOW, len(frames)),
                    prompt=prompt,
                    recent=tuple(recent[-POINTER_FRAMES:]),
                    shape="mask",
                )
                for prompt, recent in zip(first, later, strict=True)
            ]
            for place, batch in self._batches(contexts):
                for offset, output in enumerate(self._tracker.step(features, batch)):
                    later[place + offset].append(output.remembered)
        return 1000 * (time.perf_counter() - began) / (len(frames) - 1)

    def _read(self, jpeg: bytes) -> Resized:
        with Image.open(io.BytesIO(jpeg)) as image:
            return self._tracker.resize(np.array(image.convert("RGB")))

    def _batches(self, contexts: Sequence[Context]) -> list[tuple[int, Sequence[Context]]]:
        size = self._tracker.batch_size
        return [(place, contexts[place : place + size]) for place in range(0, len(contexts), size)]
