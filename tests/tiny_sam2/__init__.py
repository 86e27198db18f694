"""A small SAM2.1, trained from scratch on synthetic video, with its generator, training and evaluation."""

from __future__ import annotations

from pathlib import Path

CONFIG = Path(__file__).with_name("sam2.1_hiera_micro.yaml")
"""Hydra config: SAM2.1's architecture, narrower and shallower, at 160 pixels."""

WEIGHTS = Path(__file__).with_name("sam2.1_hiera_micro.pt")
"""Checkpoint in half precision, `{"model": state dict}`."""
