"""Plays runs of the simulation until one of them finds something; `hunt` starts it with mutated code.

    python -m tests.mutants.simulate CODE < RUNS

CODE is the folder that `sam2_agent` must come from, RUNS a JSON list of scenarios and seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

import sam2_agent
from tests.simulation.scenario import Scenario, run

RunOf: TypeAlias = tuple[Scenario, int]
"""A scenario and a seed."""

RUNS: TypeAdapter[list[RunOf]] = TypeAdapter(list[RunOf])


class Found(BaseModel):
    """What the last of `tried` runs showed; where `complaint` is None, all was well in all of them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tried: Annotated[int, Field(ge=0)]
    complaint: str | None = None


def simulate(runs: Sequence[RunOf]) -> Found:
    """Play runs until a witness complains."""
    for tried, (scenario, seed) in enumerate(runs, start=1):
        outcome = run(seed, scenario)
        if outcome.complaints or not outcome.verdict.clean:
            return Found(tried=tried, complaint=(*outcome.complaints, str(outcome.verdict))[0])
    return Found(tried=len(runs))


def main(arguments: Sequence[str]) -> int:
    """Print what was found as JSON."""
    [code] = arguments
    if not Path(sam2_agent.__file__).is_relative_to(code):
        print(f"sam2_agent comes from {sam2_agent.__file__}, not from {code}", file=sys.stderr)
        return 2
    print(simulate(RUNS.validate_json(sys.stdin.read())).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
