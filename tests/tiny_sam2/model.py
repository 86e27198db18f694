"""The small model as sam2's own builders build it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from sam2.build_sam import build_sam2, build_sam2_video_predictor

from tests.tiny_sam2 import CONFIG, WEIGHTS

__all__ = ["CONFIG", "WEIGHTS", "build_default", "build_predictor", "build_trainable"]


def build_predictor(config: Path = CONFIG, weights: Path = WEIGHTS) -> Any:
    """sam2's unmodified `SAM2VideoPredictor` on the CPU, with hole filling off."""
    predictor = build_default(config, weights)
    # An override would be lost: the builder puts its own value after it.
    predictor.fill_hole_area = 0
    return predictor


def build_default(config: Path = CONFIG, weights: Path = WEIGHTS, overrides: Sequence[str] = ()) -> Any:
    """What sam2's builder makes of a config and overrides of it, hole filling and all."""
    with _configs_in(config.parent):
        return build_sam2_video_predictor(
            config.name, str(weights), device="cpu", hydra_overrides_extra=list(overrides)
        )


def build_trainable(config: Path = CONFIG, seed: int = 0) -> Any:
    """A freshly initialized `SAM2Base` on the CPU, ready to be trained."""
    torch.manual_seed(seed)
    with _configs_in(config.parent):
        return build_sam2(config.name, None, device="cpu", apply_postprocessing=False)


@contextmanager
def _configs_in(folder: Path) -> Iterator[None]:
    """Let sam2's builders find configs in `folder`; put Hydra's state back afterwards."""
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        initialize_config_dir(str(folder.resolve()), version_base="1.2")
        yield
    finally:
        GlobalHydra.instance().hydra = before
