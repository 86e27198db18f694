"""Why the demo stopped: what happened, where, and what to do."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; `advice` says what to do about it."""

    def __init__(self, sentence: str, *, advice: str = "") -> None:
        super().__init__(sentence)
        self.advice = advice
