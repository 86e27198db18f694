"""What a reconcile leaves for whoever decides when the next one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2_operator.core.observed import Pod


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reconcile."""

    exists: bool
    ready: bool = False
    reason: str = "Unknown"
    """Why it is ready, or not: the reason of its condition Ready."""
    pod: Pod | None = None
    """The agent's pod, to be asked again before the next reconcile."""
    retry_seconds: float | None = None
    """When to come back at the latest, if something asks for it."""
