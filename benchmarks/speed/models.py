"""The models that are measured: the small trained one, and SAM2.1's own architectures at 1024 pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sam2
import torch

from tests.tiny_sam2 import CONFIG, WEIGHTS
from tests.tiny_sam2.model import build_trainable

Published = Literal["tiny", "large"]
_CONFIGS: dict[Published, str] = {"tiny": "sam2.1_hiera_t.yaml", "large": "sam2.1_hiera_l.yaml"}
_WEIGHTS: dict[Published, str] = {"tiny": "sam2.1_hiera_tiny.pt", "large": "sam2.1_hiera_large.pt"}


@dataclass(frozen=True, slots=True)
class Model:
    """A model on disk, as agents and SAM2's own builder take it; `size` is that of the frames it is given."""

    name: str
    config: Path
    checkpoint: Path
    size: tuple[int, int]
    is_small: bool = False

    def settings(self) -> dict[str, str]:
        """The agent's settings of this model."""
        return {"MODEL_CONFIG": str(self.config), "MODEL_CHECKPOINT": str(self.checkpoint)}


SMALL = Model("small", CONFIG, WEIGHTS, (240, 180), is_small=True)
"""A hundredth of a published model's arithmetic: what is not the model shows at its worst."""


def published(which: Published, folder: Path, weights: Path | None = None) -> Model:
    """One of SAM2.1's own models: its weights where a folder has them, else random ones.

    Time does not depend on weights, but for the masks: those of random weights are ragged.
    """
    config = Path(sam2.__path__[0]) / "configs" / "sam2.1" / _CONFIGS[which]
    name = f"sam2.1-hiera-{which}"
    if weights is not None and (given := weights / _WEIGHTS[which]).is_file():
        return Model(name, config, given, (1280, 720))
    checkpoint = folder / f"random-{_WEIGHTS[which]}"
    if not checkpoint.exists():
        torch.save({"model": build_trainable(config, seed=0).state_dict()}, checkpoint)
    return Model(name, config, checkpoint, (1280, 720))
