"""Which points are tried, and what is said of each."""

from __future__ import annotations

import random
import traceback
from itertools import zip_longest
from typing import TYPE_CHECKING
from zlib import crc32

from tests.controlplane.crashpoints.scenarios import SCENARIOS, Point, points
from tests.controlplane.crashpoints.verdict import Flaw
from tests.controlplane.situations import Outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.controlplane.crashpoints.bench import Bench


def all_points(on: Bench) -> list[Point]:
    """Find all points, by running every scenario once."""
    return [point for each in SCENARIOS.values() for point in points(each, on.baseline(each).calls)]


def shard(chosen: Sequence[Point], part: int, parts: int) -> list[Point]:
    """Give one of several nearly equal parts, counted from 1.

    Whose a point is follows from its name alone. Each part lists the points for itself, and the lists differ
    a little, for Kubernetes' own controllers do some of the operator's work when they are faster: a share by
    places in the list would then leave out some points and try others twice.
    """
    return [each for each in chosen if crc32(str(each).encode()) % parts == part - 1]


def sample(chosen: Sequence[Point], count: int, seed: int) -> list[Point]:
    """Draw points so that every way of every scenario has its turn."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in random.Random(seed).sample(chosen, len(chosen)):
        groups.setdefault((point.scenario, point.way), []).append(point)
    drawn = [point for turn in zip_longest(*groups.values()) for point in turn if point is not None]
    return drawn[:count]


def try_and_judge(on: Bench, point: Point) -> tuple[str, Outcomes, str]:
    """Try a point; give the situation's name, what came of it, and for people what is wrong."""
    call = on.baseline(SCENARIOS[point.scenario]).calls[point.number]
    try:
        flaws = on.try_point(point)
    except Exception:  # noqa: BLE001 - one trial that cannot be carried through is told, and the others go on
        flaws = [Flaw("hangs", f"the trial failed:\n{traceback.format_exc()}")]
    kinds = {flaw.kind for flaw in flaws}
    outcomes = Outcomes(converged=int(not flaws), **{kind: int(kind in kinds) for kind in _KINDS})
    told = "\n".join(f"    {flaw.kind}: {flaw.what}" for flaw in flaws)
    again = f"  again: python -m tests.controlplane.crashpoints {str(point)!r}"
    return (
        f"{point.scenario}: {point.way}",
        outcomes,
        f"{point} ({call.label})\n{told}\n{again}" if flaws else "",
    )


_KINDS = ("duplicates", "orphans", "hangs")
