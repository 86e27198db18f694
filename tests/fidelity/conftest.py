"""The small model, as the agent builds it and as sam2 builds it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sam2_agent.adapters.sam2_build import BuiltModel, VolumeModel, build
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from tests.fidelity.tracks import one_thread
from tests.tiny_sam2.model import CONFIG, WEIGHTS, build_predictor


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    one_thread()


@pytest.fixture(scope="session")
def predictor() -> Any:
    """SAM2's own video predictor, built by sam2's own builder: the reference."""
    return build_predictor()


@pytest.fixture(scope="session")
def model() -> BuiltModel:
    """The same model as the agent builds it."""
    return build(VolumeModel(CONFIG, WEIGHTS), torch.device("cpu"))


@pytest.fixture
def tracker(model: BuiltModel) -> Sam2Tracker:
    """A tracker that takes objects one by one."""
    return Sam2Tracker(model, "float32")
