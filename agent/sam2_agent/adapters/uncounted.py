"""Counting nothing, where nobody asks."""

from __future__ import annotations


class Uncounted:
    """What happens, as `sam2_agent.core.ports.Events`, noticed by nobody."""

    def computed(self, steps: int) -> None:
        """Count nothing."""

    def foreseen(self, steps: int) -> None:
        """Count nothing."""

    def reused(self, answers: int) -> None:
        """Count nothing."""

    def restored(self, steps: int) -> None:
        """Count nothing."""

    def lost(self) -> None:
        """Count nothing."""

    def damaged(self, kind: str) -> None:
        """Count nothing."""

    def memories_dropped(self, steps: int) -> None:
        """Count nothing."""

    def request(self, kind: str, outcome: str, seconds: float) -> None:
        """Count nothing."""

    def unavailable(self, reason: str) -> None:
        """Count nothing."""
