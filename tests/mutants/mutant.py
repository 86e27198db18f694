"""Mutants: patch files, and copies of a program's code with one of them applied."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.hunters import PROGRAMS, Program

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
KILLED_BY = "killed-by:"


class DoesNotApply(Exception):
    """A patch is out of date; the message says what git found."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One patch.

    `breaks` tells what; `killed_by` names the test that notices, else the simulation does; a `rare` one takes
    it so many seeds that only `make test-full` hunts it.
    """

    name: str
    program: Program
    breaks: str
    killed_by: str | None
    patch: Path
    rare: bool = False


def mutants() -> list[Mutant]:
    """All mutants, by program and name."""
    return [
        _read(program, path) for program in PROGRAMS for path in sorted((FOLDER / program).glob("*.patch"))
    ]


def copy_code(program: Program, mutant: Mutant | None, folder: Path) -> Path:
    """Copy a program's code into an empty folder, mutated where a mutant is given; return where it lies.

    Raises `DoesNotApply`.
    """
    code = folder / program
    shutil.copytree(ROOT / program, code, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        command = ["git", "apply", "--whitespace=nowarn", str(mutant.patch)]
        outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
        applied = subprocess.run(
            command, cwd=folder, env=outside, capture_output=True, text=True, check=False
        )
        if applied.returncode:
            raise DoesNotApply(f"{mutant.patch.name} no longer applies: {applied.stderr.strip()}")
    return code


def python_path(code: Path) -> list[str]:
    """Where Python finds modules when a program is the copy in `code`."""
    return [str(code), *(str(ROOT / program) for program in PROGRAMS), str(ROOT)]


def environment(code: Path) -> dict[str, str]:
    """An environment in which the program is the copy in `code`."""
    path = os.pathsep.join(python_path(code))
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PATH": _path()}


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _read(program: Program, path: Path) -> Mutant:
    comments = [line[2:].strip() for line in path.read_text().splitlines() if line.startswith("# ")]
    if not comments:
        raise ValueError(f"{path.name} does not begin with a comment that says what it breaks")
    killers = [line.removeprefix(KILLED_BY).strip() for line in comments if line.startswith(KILLED_BY)]
    killer = killers[0] if killers else None
    return Mutant(path.stem, program, comments[0], killer, path, rare="rare" in comments)
