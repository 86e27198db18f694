"""The traced model waits for the GPU that it runs on, not for another."""

from __future__ import annotations

import pytest
import torch

from benchmarks.speed.traced_model import synchronizer


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cuda:1", [torch.device("cuda:1")]), ("cuda", [torch.device("cuda")]), ("cpu", [])],
)
def test_the_models_own_device_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, device: str, expected: list[torch.device]
) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *which: waited.extend(which or ["device 0"]))

    synchronizer(device)()

    assert waited == expected
