"""Loading the model that the settings name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sam2_agent.settings import Settings

if TYPE_CHECKING:
    from sam2_agent.adapters.sam2_tracker import Sam2Tracker


def load_model(chosen: Settings) -> Sam2Tracker:
    """Load the model; importing torch takes seconds, so it happens here and not before."""
    # Idle threads of PyTorch spin by default; where cores are shared that slows a CPU down a hundredfold.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from sam2_agent.adapters.sam2_build import VolumeModel, build  # noqa: PLC0415
    from sam2_agent.adapters.sam2_device import choose_precision, open_device  # noqa: PLC0415
    from sam2_agent.adapters.sam2_hub import HubModel  # noqa: PLC0415
    from sam2_agent.adapters.sam2_tracker import Sam2Tracker  # noqa: PLC0415

    device = open_device(chosen.device)
    if chosen.model_config_file and chosen.model_checkpoint:
        source: VolumeModel | HubModel = VolumeModel(chosen.model_config_file, chosen.model_checkpoint)
    else:
        source = HubModel(
            chosen.model_id or "", chosen.model_revision, chosen.read_model_token(), chosen.model_cache_dir
        )
    return Sam2Tracker(build(source, device), choose_precision(chosen.precision, device))
