"""Many seeds, on several cores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context

from tests.controlplane.situations import Outcomes
from tests.operator_simulation.scenario import run

SEEDS_PER_PART = 20
PARTS_PER_PROCESS = 50


@dataclass(frozen=True, slots=True)
class Result:
    """What became of some seeds; `failures` are seeds with their complaints."""

    outcomes: Outcomes
    failures: tuple[tuple[int, tuple[str, ...]], ...]


def play(seeds: range, jobs: int) -> Iterator[Result]:
    """Play the seeds in so many processes; part by part, in their order."""
    parts = [seeds[start : start + SEEDS_PER_PART] for start in range(0, len(seeds), SEEDS_PER_PART)]
    with get_context("spawn").Pool(jobs, maxtasksperchild=PARTS_PER_PROCESS) as pool:
        yield from pool.imap(play_part, parts)


def play_part(seeds: range) -> Result:
    """Play the seeds, one after the other."""
    total = Outcomes(tried=0)
    failures = []
    for seed in seeds:
        outcome = run(seed)
        total += outcome.outcomes
        if outcome.complaints:
            failures.append((seed, outcome.complaints))
    return Result(total, tuple(failures))
