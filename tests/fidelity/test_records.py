"""What is stored of a step: memory comes back as it was, and nothing else passes for it."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_memory import SpatialMemory
from sam2_agent.adapters.sam2_tracker import Sam2Tracker
from sam2_agent.core.tracking import Context, Remembered
from sam2_agent.errors import DamagedRecord

SHAPE = (1, 64, 10, 10)

same_tracker = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def memory() -> SpatialMemory:
    """Memory of the small model's shape."""
    generator = torch.Generator().manual_seed(3)
    return SpatialMemory(torch.randn(SHAPE, generator=generator).to(torch.bfloat16))


def test_memory_comes_back_bit_for_bit(tracker: Sam2Tracker, memory: SpatialMemory) -> None:
    data = tracker.dump_memory(memory)

    assert torch.equal(tracker.load_memory(data).features, memory.features)
    assert len(data) < 2 * memory.features.numel() + 200


@same_tracker
@given(length=st.integers(min_value=0, max_value=12_000))
def test_a_truncated_record_is_found(tracker: Sam2Tracker, memory: SpatialMemory, length: int) -> None:
    with pytest.raises(DamagedRecord):
        tracker.load_memory(tracker.dump_memory(memory)[:length])


@same_tracker
@given(data=st.binary())
def test_any_bytes_are_refused_with_a_sentence(tracker: Sam2Tracker, data: bytes) -> None:
    with pytest.raises(DamagedRecord, match=r"^A memory record .*\.$"):
        tracker.load_memory(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\xff" * 64,
        safetensors.torch.save({}),
        safetensors.torch.save({"maskmem_features": torch.zeros(SHAPE)}),
        safetensors.torch.save({"maskmem_features": torch.zeros(1, 64, 64, 64, dtype=torch.bfloat16)}),
        safetensors.torch.save({"other": torch.zeros(SHAPE, dtype=torch.bfloat16)}),
        safetensors.torch.save(
            {name: torch.zeros(SHAPE, dtype=torch.bfloat16) for name in ("maskmem_features", "other")}
        ),
    ],
)
def test_foreign_records_are_refused(tracker: Sam2Tracker, body: bytes) -> None:
    with pytest.raises(DamagedRecord):
        tracker.load_memory(body)


def test_a_context_with_a_gap_is_refused(tracker: Sam2Tracker, memory: SpatialMemory) -> None:
    def record(index: int, held: SpatialMemory | None = memory) -> Remembered:
        return Remembered(index, np.zeros(128, np.float32), 1.0, held)

    features = tracker.encode(tracker.resize(np.zeros((8, 8, 3), np.uint8)))
    for recent in ((), (record(1),), (record(2), record(1)), (record(1), record(2), record(3))):
        with pytest.raises(ValueError, match="frames \\[1, 2\\] are needed"):
            tracker.step(features, [Context(3, 16, record(0), recent, "mask")])
    with pytest.raises(TypeError, match="no memory"):
        tracker.step(features, [Context(2, 16, record(0), (record(1, None),), "mask")])


def test_the_fingerprint_names_model_and_precision(model: BuiltModel) -> None:
    other = BuiltModel(model.predictor, "0" * 64)
    fingerprints = {
        Sam2Tracker(model, "float32").fingerprint,
        Sam2Tracker(model, "bfloat16").fingerprint,
        Sam2Tracker(other, "float32").fingerprint,
    }

    assert len(fingerprints) == 3
    assert Sam2Tracker(model, "float32", batch_size=8).fingerprint in fingerprints
