"""What other trackers hold and are about to have, asked of the API server where memory is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_operator.core.functions import candidates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sam2_operator.api.status import RequestedFunction
    from sam2_operator.api.tracker import Tracker
    from sam2_operator.core.ledger import Ledger
    from sam2_operator.core.observed import Function
    from sam2_operator.core.ports import Kubernetes


@dataclass(frozen=True, slots=True)
class Claims:
    """The ledger, filled when it has to be."""

    kube: Kubernetes
    ledger: Ledger

    def of_others(self, tracker: Tracker, *, given: int | None = None) -> frozenset[int]:
        """Give the ids that other trackers of the same CVAT hold.

        After a crash, or with another operator about, memory is not enough: so it is filled first for a
        registration that nobody knows the end of, and for a function that the tracker is `given` by its id.
        """
        if given is not None or not self.ledger.filled or tracker.status.registration is not None:
            self.ledger.fill(self.kube.trackers())
        claimed = self.ledger.claimed(tracker)
        return claimed - {given} if given in claimed and not self.hold(tracker, given) else claimed

    def hold(self, tracker: Tracker, function_id: int) -> bool:
        """Whether another tracker that is still there holds this function."""
        return self._is_any_there(self.ledger.holders(tracker, function_id))

    def unclaimed(
        self,
        tracker: Tracker,
        asked: RequestedFunction,
        listing: Collection[Function],
        own: Collection[int | None],
    ) -> list[int]:
        """Give the functions listed that may have come of what was asked, besides its own and others'.

        Who has an unsettled registration of the same fields may have made them as well, and decides first.
        """
        if not candidates(asked, listing, {*own, *self.ledger.claimed(tracker)}):
            return []  # as usual: nothing for which to ask what all other trackers hold
        self.ledger.fill(self.kube.trackers())
        others, rivals = self.ledger.claimed(tracker), self.ledger.rivals(tracker)
        return [
            found.id
            for found in candidates(asked, listing, {*own, *others})
            if not any(candidates(rival.registration, [found], ()) for rival in rivals)
        ]

    def serve(self, tracker: Tracker, function_id: int) -> bool:
        """Whether another tracker has this function for its agent, whoever wrote that down."""
        if not self.ledger.filled:
            self.ledger.fill(self.kube.trackers())
        return self._is_any_there(self.ledger.servers(tracker, function_id))

    def contest(self, tracker: Tracker) -> bool:
        """Whether another tracker has a better right to a function that this one was given by its id."""
        if not self.ledger.contenders(tracker):
            return False
        self.ledger.fill(self.kube.trackers())
        return self._is_any_there(self.ledger.contenders(tracker))

    def _is_any_there(self, others: Iterable[Tracker]) -> bool:
        """Whether one of them has not ended: the ledger may know some that have."""
        return any(self.kube.is_there(each) for each in others)
