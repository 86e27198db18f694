"""Load a model as SAM2 does, say so, prompt it with one object on one frame, and say so.

    python -m benchmarks.speed.bare_load CONFIG CHECKPOINT DEVICE FOLDER

The folder has one JPEG file; the object is the middle of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

LOADED, PROMPTED = "loaded", "prompted"


def main(config: str, checkpoint: str, device: str, folder: str) -> None:
    """Load, prompt."""
    import numpy as np  # noqa: PLC0415  (what it takes to import is part of it)
    import torch  # noqa: PLC0415

    from tests.tiny_sam2.model import build_predictor  # noqa: PLC0415

    predictor = build_predictor(Path(config), Path(checkpoint)).to(device)
    print(LOADED, flush=True)
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=device.startswith("cuda")):
        state = predictor.init_state(folder)
        height, width = state["video_height"], state["video_width"]
        mask = np.zeros((height, width), dtype=np.bool_)
        mask[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = True
        _, _, logits = predictor.add_new_mask(state, 0, 0, mask)
        logits.cpu()
    print(PROMPTED, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
