"""Names of points, and which of them are tried."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.crashpoints.points import Call, Point, enumerate_points, is_beside, sample, shard

POINTS = [
    Point(Call(str(stage), kind, number), side)
    for stage in range(4)
    for kind, numbers in (("GETEX answer", 30), ("POST /api/x/{}/complete", 1), ("HDEL requests", 1))
    for number in range(1, numbers + 1)
    for side in ("before", "after")
]


@pytest.mark.parametrize(
    "point", [POINTS[0], POINTS[-1], Point(Call("~", "SCRIPT LOAD of 9 bytes", 2), "after")]
)
def test_a_point_is_found_again_by_its_name(point: Point) -> None:
    assert Point.parse(str(point)) == point


@pytest.mark.parametrize("text", ["", "3 GETEX answer before", "3 GETEX answer #1 meanwhile"])
def test_what_names_no_point_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="names no point"):
        Point.parse(text)


def test_every_point_is_in_exactly_one_shard() -> None:
    shards = [shard(POINTS, f"{number}/7") for number in range(1, 8)]
    assert Counter(point for part in shards for point in part) == Counter(POINTS)
    assert {len(part) for part in shards} <= {len(POINTS) // 7, len(POINTS) // 7 + 1}


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b"])
def test_a_shard_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard"):
        shard(POINTS, text)


def test_a_sample_has_every_kind_of_call_before_it_has_one_twice() -> None:
    chosen = sample(POINTS, 6, seed=3)
    assert len({(point.call.kind, point.side) for point in chosen}) == 6
    assert chosen == sample(POINTS, 6, seed=3)
    assert chosen != sample(POINTS, 6, seed=4)
    assert Counter(sample(POINTS, 10_000, seed=3)) == Counter(POINTS)


def test_a_call_that_came_only_once_has_no_points() -> None:
    always, once = Call("1", "GETEX answer", 1), Call("~", "PING", 1)
    assert enumerate_points([[always, once], [always]]) == (
        [Point(always, "before"), Point(always, "after")],
        1,
    )


def test_what_belongs_to_no_request_is_told_from_what_does() -> None:
    beside = ["EVALSHA lease+requests", "EVALSHA lease+epoch", "SET memory", "GET /api/f/{}/watch", "PING"]
    within = ["EVALSHA lease+answer", "EVALSHA requests", "GETEX memory", "GET /api/tasks/{}/data/"]
    assert all(map(is_beside, beside))
    assert not any(map(is_beside, within))
