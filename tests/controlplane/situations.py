"""The table of `make test-full` about the operator: what came of each kind of bad situation.

A test that brings situations about adds what came of them. Where the environment names no file
(`SAM2_SITUATION_TABLE`) nothing is written.

    python -m tests.controlplane.situations FILE    prints the table; fails where something did not converge
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tests import tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FILE_VARIABLE = "SAM2_SITUATION_TABLE"


class Outcomes(BaseModel):
    """What became of the resources: how many ended as they should, and in what way the others did not."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tried: int = 1
    converged: int = 0
    duplicates: int = 0
    """More than one function for a resource."""
    orphans: int = 0
    """Something stayed that belongs to nobody."""
    hangs: int = 0
    """Not as it should be after the time that it may take."""

    @property
    def good(self) -> bool:
        """Whether all converged, and nothing was found beside."""
        return 0 < self.tried == self.converged and not (self.duplicates or self.orphans or self.hangs)

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(
            **{name: getattr(self, name) + getattr(other, name) for name in Outcomes.model_fields}
        )


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    situation: str
    outcomes: Outcomes


def add(situation: str, outcomes: Outcomes) -> Outcomes:
    """Add to the table and return it; rows of the same situation are summed when it is printed."""
    tables.append(FILE_VARIABLE, _Row(situation=situation, outcomes=outcomes).model_dump_json())
    return outcomes


def summed(lines: Iterable[str]) -> dict[str, Outcomes]:
    """Read rows and sum those of one situation, in the order of their first appearance."""
    table: dict[str, Outcomes] = {}
    for row in (_Row.model_validate_json(line) for line in lines if line.strip()):
        table[row.situation] = table.get(row.situation, Outcomes(tried=0)) + row.outcomes
    return table


def render(table: Mapping[str, Outcomes]) -> str:
    """Write the table as text."""
    rows = [(situation, *each.model_dump().values()) for situation, each in table.items()]
    return tables.render(("situation", *Outcomes.model_fields), rows)


def main(arguments: Sequence[str]) -> int:
    """Print the table of a file; exit status 1 where something did not converge or nothing was tried."""
    [path] = arguments
    table = summed(Path(path).read_text(encoding="utf-8").splitlines())
    print(render(table))
    return 0 if table and all(outcomes.good for outcomes in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
