"""Plays runs of a simulation until one of them finds something; `hunt` starts it with mutated code.

    python -m tests.mutants.simulate PROGRAM CODE < RUNS

CODE is the folder that the program's package must come from, RUNS a JSON list of scenarios and seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tests.mutants.hunters import Hunter, Program, RunOf, hunter

RUNS: TypeAdapter[list[RunOf]] = TypeAdapter(list[RunOf])


class Found(BaseModel):
    """What the last of `tried` runs showed; where `complaint` is None, all was well in all of them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tried: Annotated[int, Field(ge=0)]
    complaint: str | None = None


def simulate(by: Hunter, runs: Sequence[RunOf]) -> Found:
    """Play runs until a witness complains."""
    for tried, of in enumerate(runs, start=1):
        complaint = by.complaint(of)
        if complaint is not None:
            return Found(tried=tried, complaint=complaint)
    return Found(tried=len(runs))


def main(arguments: Sequence[str]) -> int:
    """Print what was found as JSON."""
    name, code = arguments
    program: Program = next(each for each in get_args(Program) if each == name)
    by = hunter(program)
    where = import_module(by.package).__file__ or ""
    if not Path(where).is_relative_to(code):
        print(f"{by.package} comes from {where}, not from {code}", file=sys.stderr)
        return 2
    print(simulate(by, RUNS.validate_json(sys.stdin.read())).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
