"""Models that fail as models on accelerators do; a config names them instead of SAM2's memory attention.

They are SAM2's own in all else, so the agent around them is the real one in a process of its own.  A file
tells what to do at the moment.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from sam2.modeling.memory_attention import MemoryAttention

from tests.tiny_sam2 import CONFIG

FAILURES: dict[str, Exception] = {
    "out of memory": torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.79 GiB."
    ),
    "device lost": torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
    "library failed": RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
}
"""What PyTorch raises, in its words."""

_SAM2S_OWN = "_target_: sam2.modeling.memory_attention.MemoryAttention\n"


class FailingMemoryAttention(MemoryAttention):  # type: ignore[misc]
    """Raises what the file says; with a number behind it, only where so many memory tokens are read."""

    def __init__(self, orders: str, **options: Any) -> None:
        super().__init__(**options)
        self._orders = Path(orders)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        failure, _, tokens = self._orders.read_text().partition(" from ")
        if failure and kwargs["memory"].size(0) >= int(tokens or 0):
            raise FAILURES[failure]
        return super().forward(*args, **kwargs)


class SlowMemoryAttention(MemoryAttention):  # type: ignore[misc]
    """Is built when the file is gone."""

    def __init__(self, orders: str, **options: Any) -> None:
        super().__init__(**options)
        while Path(orders).exists():
            time.sleep(0.01)


def write_config(folder: Path, kind: type[MemoryAttention], orders: Path) -> dict[str, str]:
    """Write the small model's config with one of these in it; returns the agent's settings."""
    text = CONFIG.read_text()
    assert text.count(_SAM2S_OWN) == 1
    ours = f"_target_: {kind.__module__}.{kind.__qualname__}\n    orders: {orders}\n"
    config = folder / "failing.yaml"
    config.write_text(text.replace(_SAM2S_OWN, ours))
    return {"MODEL_CONFIG": str(config)}
