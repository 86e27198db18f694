"""What is read of a tracker that says more than this operator knows."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_operator.core.reading import PartialTracker, UnreadableTrackerError, read, read_partly
from tests.unit.operator.build import UID, tracker

RECORD = {
    "name": "cars",
    "visibility": "private",
    "shapeTypes": ["mask"],
    "adopted": True,
    "userID": 1,
    "username": "ann",
}
ASKED = {
    "name": "cars",
    "visibility": "private",
    "shapeTypes": ["ellipse"],
    "aboveID": 6,
    "userID": 1,
    "username": "ann",
    "lookUntil": "2026-01-02T00:00:00Z",
}
PENDING = {**ASKED, "shapeTypes": ["mask"], "instance": "operator-0", "since": "2026-01-01T00:00:00Z"}


def live(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A tracker as the API server gives it, with parts of its spec laid over."""
    metadata = {"name": "cars", "namespace": "lab", "uid": UID, "resourceVersion": "1", "generation": 1}
    usual = {
        "cvat": {"url": "https://cvat.example", "credentialsSecretRef": {"name": "cvat"}},
        "model": {"id": "facebook/sam2.1-hiera-tiny"},
    }
    given = {"spec": {**usual, **spec}, "status": status or {}}
    return {"apiVersion": "sam2.dev/v1alpha1", "kind": "SAM2Tracker", "metadata": metadata, **given}


def partly(status: dict[str, Any] | None = None, **spec: Any) -> PartialTracker:
    found = read_partly(live(status, **spec))
    assert isinstance(found, PartialTracker)
    return found


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert read(live({"flavor": "sweet"}, flavor="sweet")) == tracker()


def test_values_that_nobody_knows_are_named() -> None:
    with pytest.raises(UnreadableTrackerError, match=r"\(spec.agent.onNodeLoss: Input should be 'Wait'"):
        read(live(agent={"onNodeLoss": "Drain"}))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("cvat", {"interface": "Queue"}),
        ("function", {"deletionPolicy": "Archive"}),
        ("function", {"id": "seventeen"}),
        ("state", {"ttl": "forever"}),
        ("state", "elsewhere"),
    ],
)
def test_nothing_is_taken_for_granted_of_a_part_that_the_end_needs(part: str, value: Any) -> None:
    found = partly(**{part: value})
    assert found.unread == {part}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("agent", {"onNodeLoss": "Drain"}),
        ("model", {"id": "facebook/sam2.1-hiera-tiny", "precision": "float8"}),
        ("function", {"shapeTypes": ["ellipse"], "name": "bikes", "deletionPolicy": "Retain"}),
        ("state", {"memoryTTL": "forever", "url": "redis://mine:6379"}),
        ("suspend", "at night"),
    ],
)
def test_what_the_end_does_not_need_may_say_anything(part: str, value: Any) -> None:
    found = partly({"functionID": 7}, **{part: value})
    assert not found.unread
    assert found.status.function_id == 7
    assert found.spec.cvat == tracker().spec.cvat
    if part == "function":
        assert (found.spec.function.name, found.spec.function.deletion_policy) == ("bikes", "Retain")
    if part == "state":
        assert found.spec.state.url == "redis://mine:6379"


def test_whose_function_it_is_is_known_whatever_it_is_called() -> None:
    found = partly({"functionID": 7, "function": {**RECORD, "shapeTypes": ["ellipse"]}})
    assert not found.unread
    assert found.status.function is not None
    assert found.status.function.adopted


@pytest.mark.parametrize("pending", [False, True])
def test_requests_without_an_answer_matter_only_to_a_registration(pending: bool) -> None:
    under_way = {"registration": PENDING} if pending else {}
    found = partly({"functionID": 7, "unansweredRequests": [ASKED], **under_way})
    assert found.unread == ({"status"} if pending else set())
    assert found.status.function_id == 7


@pytest.mark.parametrize("ids", [{"functionID": 7}, {"functionID": "seven"}])
def test_of_a_status_the_ids_are_read_if_they_can_be(ids: dict[str, Any]) -> None:
    found = partly({**ids, "registration": "soon", "conditions": "many"})
    assert found.unread == {"status"}
    assert found.status.function_id == (7 if ids["functionID"] == 7 else None)


def test_of_a_status_only_what_was_found_is_written_anew() -> None:
    said = {"registration": "soon", "conditions": [], "agent": {"pod": "cars-agent-0"}, "model": "x"}
    told = {"conditions": ["new"], "functionID": 8, "model": "y"}
    assert partly(said).retold(told) == {"registration": "soon", "conditions": ["new"], "model": "y"}
