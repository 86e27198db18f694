"""Who hunts the mutants of a program: its simulation. A folder of patches is named after the program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, TypeAlias, get_args

Program: TypeAlias = Literal["agent", "operator"]
PROGRAMS: tuple[Program, ...] = get_args(Program)

RunOf: TypeAlias = tuple[str, int]
"""A scenario and a seed."""


@dataclass(frozen=True, slots=True)
class Hunter:
    """A simulation of a program."""

    package: str
    """The program's package: what is simulated must come from the mutated copy."""
    scenarios: tuple[str, ...]
    complaint: Callable[[RunOf], str | None]
    """Plays one run; gives the first thing that is wrong."""


def hunter(program: Program) -> Hunter:
    """Give the hunter of a program's mutants; only then is the program imported."""
    found: Hunter = import_module(f"tests.mutants.{program}_hunter").HUNTER
    return found
