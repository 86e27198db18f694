"""The table of `make test-full`: what each kind of fault did to the annotators' tracks.

A test that brings a fault about compares what the annotator got with an undisturbed run (`judge`) and adds
the verdict to the table (`add`). Where the environment names no file (`SAM2_FAULT_TABLE`) nothing is written.

    python -m tests.fault_table FILE    prints the table; fails where a track was lost or an answer was wrong
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tests import tables

FILE_VARIABLE = "SAM2_FAULT_TABLE"


class Verdict(BaseModel):
    """What became of the tracks at `tried` points or seeds of one kind of fault.

    `lost` counts objects that got no answer on some frame where the undisturbed run got one; `wrong` counts
    shapes unlike the undisturbed run's; `differing` counts requests that were told two different answers.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    tried: int = 1
    lost: int = 0
    wrong: int = 0
    differing: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, wrong or told twice."""
        return not (self.lost or self.wrong or self.differing)

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(
            tried=self.tried + other.tried,
            lost=self.lost + other.lost,
            wrong=self.wrong + other.wrong,
            differing=self.differing + other.differing,
        )


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    kind: str
    verdict: Verdict


def judge(
    expected: Sequence[Sequence[object]], got: Sequence[Sequence[object]], *, differing: int = 0
) -> Verdict:
    """Compare tracks, frame by frame and object by object: what `got` lacks at its end was never answered.

    A shape of None is an answer too: the object was not seen on that frame.
    """
    objects = len(expected[0]) if expected else 0
    wrong = sum(
        wanted != found
        for wanted_shapes, found_shapes in zip(expected, got, strict=False)
        for wanted, found in zip(wanted_shapes, found_shapes, strict=True)
    )
    return Verdict(lost=objects if len(got) < len(expected) else 0, wrong=wrong, differing=differing)


def add(kind: str, verdict: Verdict) -> Verdict:
    """Add a verdict to the table and return it; rows of the same kind are summed when it is printed."""
    tables.append(FILE_VARIABLE, _Row(kind=kind, verdict=verdict).model_dump_json())
    return verdict


def summed(lines: Iterable[str]) -> dict[str, Verdict]:
    """Read rows and sum those of one kind, in the order of their first appearance."""
    table: dict[str, Verdict] = {}
    for row in (_Row.model_validate_json(line) for line in lines if line.strip()):
        table[row.kind] = table.get(row.kind, Verdict(tried=0)) + row.verdict
    return table


def render(table: Mapping[str, Verdict]) -> str:
    """Write the table as text."""
    heads = ("kind of fault", "points or seeds", "tracks lost", "wrong masks", "differing answers")
    rows = [(kind, each.tried, each.lost, each.wrong, each.differing) for kind, each in table.items()]
    return tables.render(heads, rows)


def main(arguments: Sequence[str]) -> int:
    """Print the table of a file; exit status 1 where a verdict is not clean or nothing was tried."""
    [path] = arguments
    table = summed(Path(path).read_text(encoding="utf-8").splitlines())
    print(render(table))
    return 0 if table and all(verdict.clean and verdict.tried for verdict in table.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
