"""Judges the end of a tracker: that it comes, and that nothing stays but what is to stay."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.cvat_standin.client import CVAT, wait_for

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace, Operator

DEADLINE_SECONDS = 601
"""After which the operator lets go."""


@dataclass
class Ending:
    """The end of the tracker cars, as its operator and its CVAT see it."""

    operator: Operator
    namespace: Namespace
    cvat: CVAT

    def begins(self) -> None:
        """Delete the tracker as a user does, and let the operator notice."""
        self.namespace.delete("s2t", "cars", "--wait=false")
        self.operator.settle(self.namespace.name)

    def over(self) -> bool:
        self.operator.reconcile(self.namespace.name)
        return not self.namespace.exists("s2t", "cars")

    def comes(self, situation: str, *, left: Collection[int] = (), within: float = 30.0) -> None:
        """Wait for the end and add a row to the table; `left` are the functions that are to stay in CVAT."""
        hangs = 0
        try:
            wait_for(self.over, "the tracker's end", within=within)
        except AssertionError:
            hangs = 1
        found = {function.id for function in self.cvat.functions()}
        strayed = len(found ^ set(left)) + self.namespace.exists("statefulset", "cars-agent")
        outcomes = Outcomes(converged=int(not hangs and not strayed), orphans=strayed, hangs=hangs)
        assert situations.add(situation, outcomes).good, outcomes

    def lets_go(self, situation: str, *, left: Collection[int] = (), within: float = 30.0) -> str:
        """Move time past the deadline; wait for the end and give what the operator says was left."""
        self.operator.clock.advance(DEADLINE_SECONDS)
        self.comes(situation, left=left, within=within)
        (event,) = self.told("LeftBehind")
        return str(event["message"])

    def told(self, reason: str) -> list[dict[str, Any]]:
        """Events of that reason."""
        events: list[dict[str, Any]] = self.namespace.kubectl.get(
            "-n", self.namespace.name, "events", "--field-selector", f"reason={reason}"
        )["items"]
        return events

    def left_behind(self) -> float:
        """The metric about trackers that were let go."""
        text = self.operator.world.metrics.rendered(trackers=0, ready=0).decode()  # type: ignore[attr-defined]
        (line,) = [each for each in text.splitlines() if each.startswith("sam2_operator_left_behind_total")]
        return float(line.split()[1])
