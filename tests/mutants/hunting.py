"""Hunting several mutants at once, and then the code as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.mutants.hunt import HuntFailed, Trophy, hunt
from tests.mutants.hunters import PROGRAMS, Program, RunOf, hunter
from tests.mutants.mutant import DoesNotApply, Mutant

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
    runs = {
        program: [(scenario, seed) for seed in range(seeds) for scenario in hunter(program).scenarios]
        for program in {mutant.program for mutant in mutants}
    }
    results: list[Result] = []
    finding: dict[Program, set[RunOf]] = {program: set() for program in runs}
    with ThreadPoolExecutor(jobs) as pool:
        hunted = pool.map(lambda each: _hunted(each.program, each, runs[each.program]), mutants)
        for mutant, result in zip(mutants, hunted, strict=True):
            show(result.line)
            results.append(result)
            if result.run is not None:
                finding[mutant.program].add(result.run)
    for program in (each for each in PROGRAMS if each in runs):
        results.append(_hunted(program, None, sorted(finding[program])))
        show(results[-1].line)
    return results


def _hunted(program: Program, mutant: Mutant | None, runs: Sequence[RunOf]) -> Result:
    name = mutant.name if mutant else f"the {program} as it is"
    try:
        trophy = hunt(program, mutant, runs)
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
