"""Writes onto a tracker that somebody else wrote meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sam2_operator.adapters.kube.contention import insist, retold
from sam2_operator.api.tracker import Tracker
from sam2_operator.core.timestamps import text
from sam2_operator.errors import ConflictError
from tests.unit.operator.build import tracker

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def told(generation: int, status: str = "True", **more: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "observedGeneration": generation, "reason": "Serving"}
    ready |= {"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "The agent serves."}
    return {"observedGeneration": generation, "conditions": [ready], **more}


def test_who_writes_down_a_function_takes_back_nothing_that_another_one_told() -> None:
    read, since = tracker(), tracker(told(1, "False"))
    status = retold(read.status.model_copy(update={"function_id": 7}), read, since, NOW)
    assert status.function_id == 7
    assert (status.observed_generation, status.conditions) == (1, since.status.conditions)


def test_who_writes_down_a_function_does_not_repeat_that_the_tracker_was_ready_with_another() -> None:
    read, since = tracker(), tracker(told(1))
    (ready,) = retold(read.status.model_copy(update={"function_id": 7}), read, since, NOW).conditions
    assert (ready.status, ready.reason, ready.last_transition_time) == ("False", "Registering", text(NOW))


def test_what_is_done_beside_the_function_leaves_a_tracker_ready() -> None:
    read, since = tracker({"obsoleteFunctionIDs": [7]}), tracker(told(1, obsoleteFunctionIDs=[7]))
    status = retold(read.status.model_copy(update={"obsolete_function_ids": []}), read, since, NOW)
    assert (status.obsolete_function_ids, status.conditions) == ([], since.status.conditions)


def test_who_tells_something_tells_it_to_the_last() -> None:
    read, since = tracker(), tracker({})
    status = tracker(told(1)).status
    assert retold(status, read, since, NOW) == status


def test_what_was_decided_from_another_function_is_not_written() -> None:
    def refused(_: Tracker) -> None:
        raise ConflictError("somebody was faster")

    with pytest.raises(ConflictError):
        insist(tracker(), lambda: tracker({"functionID": 8}), refused)
