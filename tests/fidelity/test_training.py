"""The small model's training still runs, and what it writes is a model that the agent can load."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from sam2_agent.adapters.sam2_build import VolumeModel, build
from tests.tiny_sam2 import train
from tests.tiny_sam2.model import CONFIG


@pytest.mark.slow
def test_a_short_training_learns_and_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [
        "--clips",
        "4",
        "--held-out",
        "2",
        "--clip-length",
        "20",
        "--threads",
        "1",
        "--warmup",
        "1",
        "--out",
        str(tmp_path),
    ]
    monkeypatch.setattr(sys, "argv", ["train", "--phases", "3x3x2", *options])
    train.main()
    first = torch.load(tmp_path / "train_state.pt", weights_only=True)
    monkeypatch.setattr(sys, "argv", ["train", "--phases", "5x3x2", "--resume", *options])
    train.main()
    second = torch.load(tmp_path / "train_state.pt", weights_only=True)

    assert (first["step"], second["step"]) == (3, 5)
    assert not torch.equal(first["mean"]["no_mem_embed"], second["mean"]["no_mem_embed"])
    build(VolumeModel(CONFIG, tmp_path / "sam2.1_hiera_micro.pt"), torch.device("cpu"))
