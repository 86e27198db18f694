"""Every mutant is found, and what finds them is not easily content nor easily upset."""

from __future__ import annotations

import difflib
from pathlib import Path
from random import Random

import pytest

from tests.mutants.hunt import hunt
from tests.mutants.hunting import SEEDS, hunt_all
from tests.mutants.mutant import ROOT, DoesNotApply, Mutant, copy_code, mutants
from tests.mutants.simulate import RunOf
from tests.samples import todays_seed

A_DAY = 12
ONE_RUN: list[RunOf] = [("everything", 0)]
CODE = "agent/sam2_agent/core/__init__.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_days_mutants_are_found_and_the_code_as_it_is_passes() -> None:
    """`make test-full` hunts all of them, also the rare ones."""
    todays = Random(todays_seed()).sample([each for each in mutants() if not each.rare], A_DAY)
    results = hunt_all(todays, seeds=SEEDS, jobs=2, show=print)
    assert [result.line for result in results if not result.fine] == []


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_the_patch_applies(mutant: Mutant, tmp_path: Path) -> None:
    copy_code(mutant, tmp_path)


def test_a_change_that_breaks_nothing_survives(tmp_path: Path) -> None:
    code = (ROOT / CODE).read_text()
    trophy = hunt(change(tmp_path, code, code + "# Harmless.\n"), ONE_RUN)
    assert not trophy.found


def test_a_patch_for_other_code_is_told(tmp_path: Path) -> None:
    with pytest.raises(DoesNotApply, match=r"change\.patch no longer applies"):
        hunt(change(tmp_path, "print('other code')\n", "print('changed')\n"), ONE_RUN)


def change(folder: Path, before: str, after: str) -> Mutant:
    """A change to a file of the agent."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{CODE}", f"b/{CODE}")
    patch = folder / "change.patch"
    patch.write_text("# Changes one file.\n" + "".join(lines))
    return Mutant("change", "Changes one file.", None, patch)
