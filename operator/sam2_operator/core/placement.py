"""What the operator itself knows when it writes a pod: its settings, not the tracker's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2_operator.core.gateway import Gateway


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an agent's pod gets when the tracker does not say otherwise."""

    image: str
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    gateway: Gateway | None = None
    """None where the operator was installed without one: serverless trackers get no agent then."""
