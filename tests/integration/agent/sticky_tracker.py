"""A toy whose work, once told to, takes until it is let go."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from sam2_agent.core.tracking import Context, Features, Prompt
from tests.toy_tracker import ToyOutput, ToyTracker


class StickyTracker(ToyTracker):
    """Waits for `let_go`, which is set at first."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.let_go.set()

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[ToyOutput]:
        self.let_go.wait(60)
        return super().prompt(features, prompts)

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        self.let_go.wait(60)
        return super().step(features, contexts)
