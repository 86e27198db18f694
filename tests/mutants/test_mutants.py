"""Every mutant is found, and what finds them is not easily content nor easily upset."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from tests.mutants.hunt import hunt
from tests.mutants.hunting import SEEDS, hunt_all
from tests.mutants.mutant import ROOT, DoesNotApply, Mutant, copy_code, mutants
from tests.mutants.simulate import RunOf

ONE_RUN: list[RunOf] = [("everything", 0)]
CODE = "agent/sam2_agent/core/__init__.py"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_mutant_is_found_and_the_code_as_it_is_passes() -> None:
    """All but the rare ones, which `make test-full` hunts."""
    results = hunt_all([each for each in mutants() if not each.rare], seeds=SEEDS, jobs=2, show=print)
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
