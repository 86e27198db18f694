"""A tracker that takes a GPU's time, computes nothing, and has records as large as a published model's."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sam2_agent.core.tracking import Context, Features, Prompt, Resized
from tests.sized_tracker import Output, Sized, SizedTracker


class PacedTracker(SizedTracker):
    """Waits `frame` seconds for each frame to encode and `each` for each object, as for a device."""

    side = 1024

    def __init__(self, frame: float, each: float) -> None:
        super().__init__()
        self._frame = frame
        self._each = each

    def encode(self, image: Resized) -> Sized:
        """Take the time of the image encoder."""
        time.sleep(self._frame)
        return super().encode(image)

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[Output]:
        """Take the time of the objects."""
        time.sleep(self._each * len(prompts))
        return super().prompt(features, prompts)

    def step(self, features: Features, contexts: Sequence[Context]) -> list[Output]:
        """Take the time of the objects."""
        time.sleep(self._each * len(contexts))
        return super().step(features, contexts)
