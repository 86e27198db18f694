"""SAM2's own figure: the unmodified `SAM2VideoPredictor` on the same frames, prompts and weights."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.cvat_standin.annotator import Shape
from tests.demo.clips import Clip
from tests.demo.session import drawn
from tests.demo.shapes import Bitmap, bitmap_of
from tests.tiny_sam2.model import build_predictor


def reference(clip: Clip) -> Bitmap:
    """What SAM2 itself makes of a clip and its correction: bool of shape (targets, frames, height, width)."""
    with redirect_stderr(io.StringIO()):  # its progress bars
        return _reference(clip, build_predictor())


def _reference(clip: Clip, predictor: Any) -> Bitmap:
    masks = _propagate(predictor, clip, 0, [drawn(target, target.first) for target in clip.targets])
    if correction := clip.correction:
        again = drawn(clip.targets[correction.target], correction.drawn)
        masks[correction.target, correction.frame :] = _propagate(predictor, clip, correction.frame, [again])[
            0
        ]
    return masks


def _propagate(predictor: Any, clip: Clip, start: int, shapes: Sequence[Shape]) -> Bitmap:
    """Track shapes from frame `start` to the clip's end; on that frame they stand as drawn."""
    prompts = np.stack([bitmap_of(shape, clip.size) for shape in shapes])
    width, height = clip.size
    masks = np.zeros((len(shapes), len(clip.jpegs) - start, height, width), np.bool_)
    with tempfile.TemporaryDirectory(prefix="reference-") as folder, torch.inference_mode():
        for index, jpeg in enumerate(clip.jpegs[start:]):
            Path(folder, f"{index:05d}.jpg").write_bytes(jpeg)
        state = predictor.init_state(folder)
        for row, prompt in enumerate(prompts):
            predictor.add_new_mask(state, frame_idx=0, obj_id=row, mask=prompt)
        for frame, rows, logits in predictor.propagate_in_video(state):
            for row, logit in zip(rows, logits, strict=True):
                masks[row, frame] = (logit[0] > 0).numpy()
    masks[:, 0] = prompts
    return masks
