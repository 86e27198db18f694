"""Writes what the operator knows of a tracker's function into its status, and notes it in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sam2_operator.api.status import TrackerStatus
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.ports import Clock, Kubernetes


@dataclass(frozen=True, slots=True)
class StatusWriter:
    """The one way by which a registration changes a status; raises `KubernetesError`."""

    kube: Kubernetes
    ledger: Ledger
    clock: Clock

    def write(self, tracker: Tracker, status: TrackerStatus) -> Tracker:
        """Write it, if the tracker is still the one that was read; else raise `ConflictError`."""
        written = self.kube.write_status(tracker, status)
        self.ledger.note(written)
        return written
