"""The model's process on a GPU that has room for the model, but for no frame beside it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sam2_agent import model
from sam2_agent.adapters import sam2_warmup
from sam2_agent.errors import DeviceOutOfMemory


class Full:
    """Loaded, and no more."""

    fingerprint, batch_size, side = "f" * 64, 32, 64
    device = SimpleNamespace(type="cuda")

    def resize(self, image: Any) -> Any:
        return image

    def encode(self, _image: Any) -> None:
        raise DeviceOutOfMemory("The memory of cuda is full.")


def main() -> None:
    """Load, and say what comes of it; never returns."""
    with patch.object(sam2_warmup, "load_model", lambda _settings: Full()):
        model.main(*model.ends(sys.argv[1:]))


if __name__ == "__main__":
    main()
