"""Hunting several mutants at once, and then the code as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.mutants.hunt import HuntFailed, Trophy, hunt
from tests.mutants.mutant import DoesNotApply, Mutant
from tests.mutants.simulate import RunOf
from tests.simulation.scenario import SCENARIOS

SEEDS = 1000
"""A mutant that so many seeds of every scenario do not find counts as survived."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one hunt, as a line; `fine` says whether it is as it should be."""

    line: str
    fine: bool
    run: RunOf | None = None


def hunt_all(
    mutants: Sequence[Mutant], *, seeds: int, jobs: int, show: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Hunt mutants, `jobs` at a time; then see the code as it is pass every run that found one."""
    runs = [(scenario, seed) for seed in range(seeds) for scenario in SCENARIOS]
    results: list[Result] = []
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(lambda mutant: _hunted(mutant, runs), mutants):
            show(result.line)
            results.append(result)
    finding = sorted({result.run for result in results if result.run is not None})
    results.append(_hunted(None, finding))
    show(results[-1].line)
    return results


def _hunted(mutant: Mutant | None, runs: Sequence[RunOf]) -> Result:
    name = mutant.name if mutant else "the code as it is"
    try:
        trophy = hunt(mutant, runs)
    except (DoesNotApply, HuntFailed) as error:
        return Result(f"BROKEN    {name}: {error}", fine=False)
    if mutant is None:
        word, fine = ("FAILED", False) if trophy.found else ("passed", True)
        return Result(f"{word:<9} {name}: {trophy.how}", fine=fine)
    return _judged(mutant, trophy)


def _judged(mutant: Mutant, trophy: Trophy) -> Result:
    if trophy.found:
        return Result(f"found     {mutant.name}: {trophy.how}", fine=True, run=trophy.run)
    return Result(f"SURVIVED  {mutant.name}: {trophy.how}. {mutant.breaks}", fine=False)
