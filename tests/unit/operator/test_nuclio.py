"""What a serverless tracker is as a function of Nuclio: who is shown, under which name."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_operator.core.naming import gateway_function
from sam2_operator.core.nuclio import Shown, function, is_serverless, seconds, shown

LABELS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=63).filter(
    lambda text: text.strip("-") == text
)
"""Names of namespaces, and of trackers: neither has a dot."""


def live(**changes: Any) -> dict[str, Any]:
    """A ready serverless tracker, as the API server gives it; `None` leaves a part out."""
    found: dict[str, Any] = {
        "metadata": {"name": "cars", "namespace": "lab", "uid": "uid-1", "resourceVersion": "7"},
        "spec": {"cvat": {"interface": "Serverless"}, "model": {"id": "m"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "model": "m"},
    }
    for path, value in changes.items():
        part, _, name = path.partition("__")
        if value is None:
            found[part].pop(name, None)
        else:
            found[part] = {**found[part], name: value} if name else value
    return found


def read(**changes: Any) -> Shown:
    tracker = shown(live(**changes))
    assert tracker is not None
    return tracker


def said(status: str) -> list[dict[str, str]]:
    return [{"type": "Ready", "status": status}, {"type": "AgentAvailable", "status": "True"}]


@pytest.mark.parametrize(
    ("changes", "listed", "found"),
    [
        ({}, True, True),
        ({"status__conditions": said("False")}, False, True),
        ({"status__conditions": said("Unknown")}, False, True),
        ({"status__conditions": None}, False, True),
        ({"status": {}}, False, True),
        ({"spec__suspend": True}, False, False),
        ({"metadata__deletionTimestamp": "2026-01-01T00:00:00Z"}, False, False),
    ],
)
def test_ready_ones_are_shown_and_all_that_nobody_stopped_may_be_called(
    changes: dict[str, Any], *, listed: bool, found: bool
) -> None:
    tracker = read(**changes)
    assert (tracker.ready, tracker.callable) == (listed, found)


@pytest.mark.parametrize(
    "changes",
    [
        {"spec__cvat": {"interface": "Agent"}},
        {"spec__cvat": {"url": "https://cvat"}},
        {"spec__cvat": None},
        {"metadata__uid": None},
        {"metadata__name": 7},
        {"status__conditions": [{"type": "Ready"}]},
        {"spec__suspend": "perhaps"},
    ],
)
def test_what_is_none_or_cannot_be_read_is_left_out(changes: dict[str, Any]) -> None:
    assert shown(live(**changes)) is None


@pytest.mark.parametrize("nonsense", [{}, {"spec": None}, {"spec": {"cvat": None}}, {"spec": {"cvat": "x"}}])
def test_what_is_no_tracker_is_not_serverless(nonsense: dict[str, Any]) -> None:
    assert not is_serverless(nonsense)
    assert shown(nonsense) is None


@given(LABELS, LABELS, LABELS, LABELS)
def test_no_two_trackers_share_a_name(one: str, name: str, other: str, another: str) -> None:
    same = gateway_function(one, name) == gateway_function(other, another)
    assert same == ((one, name) == (other, another))


@given(LABELS, LABELS)
def test_a_name_is_one_that_cvat_and_a_path_take_and_that_nuclio_never_gives(one: str, name: str) -> None:
    made = gateway_function(one, name)
    assert set(made) <= set(string.ascii_letters + string.digits + "_.-")
    assert "." in made
    assert not made.startswith(".")


def test_a_function_says_what_cvat_reads() -> None:
    made = function(read(spec__function={"name": "Cars", "shapeTypes": ["mask", "rectangle"]}))
    annotations = made["metadata"]["annotations"]
    assert made["metadata"]["name"] == "lab.cars"
    assert (annotations["name"], annotations["type"]) == ("Cars", "tracker")
    assert annotations["supported_shape_types"] == "mask,rectangle"
    assert json.loads(annotations["spec"]) == []
    assert int(annotations["version"]) == 1
    assert all(isinstance(value, str) for value in annotations.values())
    assert made["spec"]["description"] == "SAM2 video tracking (m)"
    assert made["status"] == {"state": "ready", "httpPort": 8081}


def test_without_a_name_it_is_called_as_the_tracker_and_tracks_all_shapes() -> None:
    tracker = read()
    assert tracker.title == "cars"
    assert tracker.shape_types == ("mask", "polygon", "rectangle")
    assert function(tracker)["metadata"]["annotations"]["name"] == "cars"


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("120s", 120.0),
        ("1m30s", 90.0),
        ("1.5h", 3600.0),
        ("500ms", 0.5),
        ("9999999s", 3600.0),
        ("0s", None),
        ("120", None),
        ("-5s", None),
        ("5s ", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_callers_patience_is_read_as_go_writes_it(duration: str | None, expected: float | None) -> None:
    assert seconds(duration) == expected
