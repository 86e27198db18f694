"""Which points of the operator are tried by whom."""

from __future__ import annotations

from tests.controlplane.crashpoints.gate import Call
from tests.controlplane.crashpoints.scenarios import SCENARIOS, Point, points
from tests.controlplane.crashpoints.trial import shard

PARTS = 4


def listing(calls: int) -> list[Point]:
    """What a process lists that saw so many calls in each scenario."""
    made = [Call(f"GET /{number}", writes=True) for number in range(calls)]
    return [point for each in SCENARIOS.values() for point in points(each, made)]


def test_no_point_falls_between_shards_that_were_listed_by_themselves() -> None:
    listings = [listing(60 + part) for part in range(PARTS)]
    tried = [point for part, each in enumerate(listings, start=1) for point in shard(each, part, PARTS)]
    assert len(tried) == len(set(tried))
    assert set(listings[0]) <= set(tried) <= set(listings[-1])


def test_shards_are_nearly_equal() -> None:
    sizes = [len(shard(listing(60), part, PARTS)) for part in range(1, PARTS + 1)]
    assert max(sizes) < 1.2 * min(sizes)
