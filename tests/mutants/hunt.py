"""Looks whether the tests notice a mutant: runs of the simulation, or the one test that its patch names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.hunters import Program, RunOf
from tests.mutants.mutant import ROOT, Mutant, copy_code, environment, python_path
from tests.mutants.simulate import RUNS, Found

TEST_FAILED = 1
"""pytest's exit status where tests ran and some failed."""


class HuntFailed(Exception):
    """Neither found nor survived: what should have looked did not run."""


@dataclass(frozen=True, slots=True)
class Trophy:
    """What came of a hunt: `how` tells what found something, or how much found nothing.

    `run` is the run of the simulation that found it, if one did.
    """

    found: bool
    how: str
    run: RunOf | None = None


def hunt(program: Program, mutant: Mutant | None, runs: Sequence[RunOf]) -> Trophy:
    """Look at a mutant, or with None at the code as it is; raises `DoesNotApply` or `HuntFailed`."""
    with TemporaryDirectory(prefix="mutant-") as folder:
        code = copy_code(program, mutant, Path(folder))
        if mutant is not None and mutant.killed_by is not None:
            return _test(mutant.killed_by, code)
        return _simulate(program, code, runs)


def _simulate(program: Program, code: Path, runs: Sequence[RunOf]) -> Trophy:
    ran = _run(
        ["tests.mutants.simulate", program, str(code)], code, given=RUNS.dump_json(list(runs)).decode()
    )
    if ran.returncode:
        raise HuntFailed(f"the simulation broke: {_last_lines(ran.stderr)}")
    found = Found.model_validate_json(ran.stdout)
    if found.complaint is None:
        return Trophy(found=False, how=f"nothing in {found.tried} runs")
    scenario, seed = last = runs[found.tried - 1]
    how = f"{scenario}, seed {seed} (run {found.tried}): {found.complaint}"
    return Trophy(found=True, how=how, run=last)


def _test(test: str, code: Path) -> Trophy:
    path = "pythonpath=" + " ".join(python_path(code))
    ran = _run(["pytest", "-q", "-p", "no:cacheprovider", "-o", path, test], code)
    if ran.returncode not in (0, TEST_FAILED) or "error" in ran.stdout.strip().rpartition("\n")[2]:
        raise HuntFailed(f"{test} did not run: {_last_lines(ran.stdout)}")
    return Trophy(found=ran.returncode == TEST_FAILED, how=test)


def _run(module: list[str], code: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *module],
        cwd=ROOT,
        env=environment(code),
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])
