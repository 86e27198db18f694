"""Loading a model so that its first frame takes what the others take.

The first time that a GPU runs a kernel it has to be loaded, and libraries make room to work in.  A CPU has
nothing of the kind: there a dummy frame would only delay the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sam2_agent.adapters.model_loading import load_model
from sam2_agent.core.tracking import BoxPrompt, Context, MaskPrompt, Prompt
from sam2_agent.settings import Settings

if TYPE_CHECKING:
    from sam2_agent.adapters.sam2_tracker import Sam2Tracker


def load_warm(chosen: Settings) -> Sam2Tracker:
    """Load the model that the settings name; one on a GPU has run once.

    Raises the `GaveUp` of `load_model`, and `DeviceOutOfMemory` or `DeviceLost` where it cannot run.
    """
    tracker = load_model(chosen)
    if tracker.device.type == "cuda":
        _run_once(tracker)
    return tracker


def _run_once(tracker: Sam2Tracker) -> None:
    """Prompt both ways, step and dump, on a black frame; nothing of it is kept."""
    side = tracker.side
    begin, end = side // 4, side // 2
    mask = np.zeros((side, side), np.bool_)
    mask[begin:end, begin:end] = True
    prompts: list[Prompt] = [MaskPrompt(mask), BoxPrompt((begin, begin, end, end))]
    frame = tracker.encode(tracker.resize(np.zeros((side, side, 3), np.uint8)))
    first, _ = (output.remembered for output in tracker.prompt(frame, prompts))
    [second] = tracker.step(frame, [Context(index=1, window=2, prompt=first, recent=(), shape="mask")])
    tracker.dump_memory(second.remembered.memory)
