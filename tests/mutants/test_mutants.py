"""Every mutant is found, and what finds them is not easily content nor easily upset."""

from __future__ import annotations

import difflib
from pathlib import Path
from random import Random

import pytest

from tests.mutants.hunt import hunt
from tests.mutants.hunters import PROGRAMS, Program, RunOf
from tests.mutants.hunting import SEEDS, hunt_all
from tests.mutants.mutant import ROOT, DoesNotApply, Mutant, copy_code, mutants
from tests.samples import todays_seed

A_DAY: dict[Program, int] = {"agent": 12, "operator": 4}
ONE_RUN: dict[Program, list[RunOf]] = {"agent": [("everything", 0)], "operator": [("operator", 0)]}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_days_mutants_are_found_and_the_code_as_it_is_passes(program: Program) -> None:
    """`make test-full` hunts all of them, also the rare ones."""
    usual = [each for each in mutants() if each.program == program and not each.rare]
    todays = Random(todays_seed()).sample(usual, A_DAY[program])
    results = hunt_all(todays, seeds=SEEDS, jobs=2, show=print)
    assert [result.line for result in results if not result.fine] == []


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_the_patch_applies(mutant: Mutant, tmp_path: Path) -> None:
    copy_code(mutant.program, mutant, tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_change_that_breaks_nothing_survives(program: Program, tmp_path: Path) -> None:
    code = (ROOT / path_of(program)).read_text()
    trophy = hunt(program, change(program, tmp_path, code, code + "# Harmless.\n"), ONE_RUN[program])
    assert not trophy.found


def test_a_patch_for_other_code_is_told(tmp_path: Path) -> None:
    broken = change("agent", tmp_path, "print('other code')\n", "print('changed')\n")
    with pytest.raises(DoesNotApply, match=r"change\.patch no longer applies"):
        hunt("agent", broken, ONE_RUN["agent"])


def path_of(program: Program) -> str:
    return f"{program}/sam2_{program}/core/__init__.py"


def change(program: Program, folder: Path, before: str, after: str) -> Mutant:
    """A change to a file of a program."""
    path = path_of(program)
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}", f"b/{path}")
    patch = folder / "change.patch"
    patch.write_text("# Changes one file.\n" + "".join(lines))
    return Mutant("change", program, "Changes one file.", None, patch)
