"""What counts as a difference between a wish and what is there."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_operator.core.drift import DIGEST_ANNOTATION, drift, outlasts_an_apply, overwriting, with_digest
from tests.operator_simulation.kubernetes.apply import merged


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ({"a": 1}, {"a": 1, "defaulted": True}),
        ({"a": {}}, {}),
        ({"a": []}, {}),
        ({"limits": {"nvidia.com/gpu": 1}}, {"limits": {"nvidia.com/gpu": "1"}}),
        ({"requests": {"cpu": "1000m", "memory": "1024Mi"}}, {"requests": {"cpu": "1", "memory": "1Gi"}}),
        ({"sizeLimit": "1e3"}, {"sizeLimit": "1k"}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B"}, {"name": "A", "value": "1"}]}),
    ],
)
def test_what_the_api_server_and_others_add_is_no_difference(wanted: Any, live: Any) -> None:
    assert drift(wanted, live) is None


@pytest.mark.parametrize(
    ("wanted", "live", "where"),
    [
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, "spec.replicas"),
        ({"a": False}, {"a": True}, "a"),
        ({"a": 1}, {"a": True}, "a"),
        ({"a": "x"}, {}, "a"),
        ({"limits": {"cpu": "2"}}, {"limits": {"cpu": "1"}}, "limits.cpu"),
        ({"value": "1000m"}, {"value": "1"}, "value"),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, "env[0].value"),
        ({"env": [{"name": "A"}]}, {"env": []}, "env[0]"),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a"}, {"key": "b"}]}, "tolerations"),
        ({"drop": ["ALL"]}, {"drop": ["NET_RAW"]}, "drop[0]"),
    ],
)
def test_a_difference_is_named_by_its_path(wanted: Any, live: Any, where: str) -> None:
    assert drift(wanted, live) == where


def test_nothing_there_is_missing() -> None:
    assert drift({"a": 1}, None) == "missing"


def test_a_field_no_longer_wanted_shows_by_the_digest() -> None:
    before = with_digest({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}})
    after = with_digest({"metadata": {"name": "a"}, "spec": {"x": 1}})
    assert drift(after, before) == f"metadata.annotations.{DIGEST_ANNOTATION}"


@pytest.mark.parametrize(
    ("wanted", "live", "renamed"),
    [
        ({"env": [{"name": "A"}]}, {"env": [{"name": "B"}]}, True),
        (
            {"ports": [{"name": "http", "containerPort": 1}]},
            {"ports": [{"name": "http", "containerPort": 2}]},
            True,
        ),
        (
            {"ports": [{"name": "door", "port": 1, "protocol": "TCP"}]},
            {"ports": [{"name": "door", "port": 1, "protocol": "UDP"}]},
            True,
        ),
        ({"ports": [{"name": "door", "port": 1}]}, {"ports": [{"name": "door", "port": 2}]}, True),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, False),
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, False),
    ],
)
def test_an_item_that_goes_by_another_key_is_told_from_an_edited_one(
    wanted: Any, live: Any, renamed: bool
) -> None:
    difference = drift(wanted, live)
    assert difference is not None
    assert outlasts_an_apply(difference) == renamed


@pytest.mark.parametrize(
    ("wanted", "live", "where"),
    [
        ({"selector": {"app": "a"}}, {"selector": {"app": "a", "team": "b"}}, "selector"),
        (
            {"podSelector": {"matchLabels": {"app": "a"}}},
            {"podSelector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "team"}]}},
            "podSelector",
        ),
        (
            {"podSelector": {"matchLabels": {"app": "a"}}},
            {"podSelector": {"matchLabels": {"app": "a", "team": "b"}}},
            "podSelector.matchLabels",
        ),
        (
            {"from": [{"namespaceSelector": {}}]},
            {"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
            "from[0].namespaceSelector",
        ),
    ],
)
def test_what_is_added_to_a_selector_is_taken_out(wanted: Any, live: Any, where: str) -> None:
    difference = drift(wanted, live)
    assert difference == where
    assert outlasts_an_apply(difference)
    assert drift(wanted, merged(live, overwriting(wanted, live))) is None
