"""The small model on a CUDA device against the CPU: `pytest -m gpu` where there is one.

Kernels differ, so bits do.  In float32, with TensorFloat-32 off on the device, a logit may differ as much as
in a batch on the CPU; in bfloat16, which keeps three decimal digits, the masks have to be the same objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_device import Precision, open_device
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from tests.fidelity.clips import Clip, write_clip
from tests.fidelity.test_batches import TOLERANCE
from tests.fidelity.tracks import Logits, mask_prompt, track
from tests.tiny_sam2.model import CONFIG, WEIGHTS

pytestmark = pytest.mark.gpu

NUM_FRAMES = 20
LEAST_IOU = 0.95
"""Of each object's masks over the whole clip, in bfloat16 against float32."""


@pytest.fixture(scope="module")
def gpu_model() -> BuiltModel:
    return build(VolumeModel(CONFIG, WEIGHTS), open_device("cuda"))


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return write_clip(tmp_path, 2_000_000, "easy", NUM_FRAMES)


@pytest.fixture
def _no_tf32() -> Iterator[None]:
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.usefixtures("_no_tf32")
def test_float32_gives_the_cpus_logits(model: BuiltModel, gpu_model: BuiltModel, clip: Clip) -> None:
    cpu, gpu = _tracked(model, "float32", clip), _tracked(gpu_model, "float32", clip)

    assert np.abs(gpu - cpu).max() <= TOLERANCE
    assert np.abs(cpu[(gpu > 0) != (cpu > 0)]).max(initial=0) <= TOLERANCE


def test_bfloat16_gives_the_cpus_masks(model: BuiltModel, gpu_model: BuiltModel, clip: Clip) -> None:
    cpu, gpu = _tracked(model, "float32", clip) > 0, _tracked(gpu_model, "bfloat16", clip) > 0

    for obj in range(clip.num_objects):
        assert (cpu[obj] & gpu[obj]).sum() / (cpu[obj] | gpu[obj]).sum() >= LEAST_IOU


def _tracked(model: BuiltModel, precision: Precision, clip: Clip) -> Logits:
    """Logits of shape (objects, frames, height, width); a GPU takes the objects in one batch."""
    prompts = [mask_prompt(clip, obj) for obj in range(1, clip.num_objects + 1)]
    return np.array(track(lambda: Sam2Tracker(model, precision), clip.frames, prompts))
