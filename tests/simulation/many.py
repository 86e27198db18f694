"""Many seeds, on several cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from tests.fault_table import Verdict
from tests.simulation.scenario import Outcome, Scenario, run

SEEDS_PER_PART = 20
PARTS_PER_PROCESS = 50


@dataclass(frozen=True, slots=True)
class Part:
    """Some seeds of one scenario."""

    scenario: Scenario
    seeds: range


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a part; `failures` are seeds with their complaints."""

    part: Part
    verdict: Verdict
    failures: tuple[tuple[int, tuple[str, ...]], ...]


def play(scenarios: Sequence[Scenario], seeds: range, jobs: int) -> Iterator[Result]:
    """Play the seeds of each scenario in so many processes; part by part, in their order."""
    parts = [
        Part(scenario, seeds[start : start + SEEDS_PER_PART])
        for start in range(0, len(seeds), SEEDS_PER_PART)
        for scenario in scenarios
    ]
    # A run leaves about 0.4 MB behind (errors that went through Lua), so processes are replaced.
    with get_context("spawn").Pool(jobs, maxtasksperchild=PARTS_PER_PROCESS) as pool:
        yield from pool.imap(_play, parts)


def is_clean(outcome: Outcome) -> bool:
    """Whether nobody has anything to complain about."""
    return not outcome.complaints and outcome.verdict.clean


def _play(part: Part) -> Result:
    verdict = Verdict(tried=0)
    failures: list[tuple[int, tuple[str, ...]]] = []
    for seed in part.seeds:
        outcome = run(seed, part.scenario)
        verdict += outcome.verdict
        if not is_clean(outcome):
            failures.append((seed, outcome.complaints or (f"{outcome.verdict}",)))
    return Result(part, verdict, tuple(failures))
