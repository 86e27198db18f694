"""Tables of figures with their goals: printed, and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Value = float | int | str | None
Row = Mapping[str, Value]

_ABOUT = ("date", "machine", "versions", "effort")


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of each row: its name in the JSON, its heading, and how it is printed."""

    key: str
    heading: str
    form: str = ".1f"

    def cell(self, row: Row) -> str:
        """The figure as it is printed; a dash where a row has none."""
        value = row.get(self.key)
        if value is None:
            return "-"
        return value if isinstance(value, str) else format(value, self.form)


@dataclass(frozen=True, slots=True)
class Goal:
    """A promise, and the figure that was found; without a limit the figure is only told."""

    measure: str
    figure: float
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the promise holds; None where there is none."""
        if self.limit is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def sentence(self) -> str:
        """The promise and the figure in a line."""
        if self.limit is None:
            return f"        {self.measure}: {self.figure:.3g}"
        word = "at least" if self.at_least else "at most"
        mark = "met   " if self.met else "MISSED"
        return f"{mark}  {self.measure}: {self.figure:.3g}, goal {word} {self.limit:.3g}"

    def to_json(self) -> dict[str, Value]:
        """The promise and the figure as data."""
        return {
            "measure": self.measure,
            "figure": round(self.figure, 4),
            "limit": self.limit,
            "at_least": self.at_least,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Table:
    """What one measurement found; `name` names its files, `method` says what was measured and how."""

    name: str
    title: str
    method: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    goals: Sequence[Goal] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    """More for the JSON and the plot than the rows have."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where, when and with which versions it was found."""

    def text(self) -> str:
        """The table as it is printed."""
        cells = [[column.heading for column in self.columns]]
        cells += [[column.cell(row) for column in self.columns] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells
        ]
        return "\n".join(["", self.title, *lines, *(goal.sentence() for goal in self.goals)])

    def write(self, path: Path) -> None:
        """Write the figures as JSON, with what is told about them."""
        document = {
            "title": self.title,
            "method": self.method,
            **self.about,
            "goals": [goal.to_json() for goal in self.goals],
            "rows": [rounded(row) for row in self.rows],
            **self.details,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def read(path: Path) -> Table:
    """Read figures that were written, to draw them: of the columns and goals nothing is known."""
    document = json.loads(path.read_text())
    about = {name: document.pop(name) for name in _ABOUT if name in document}
    title, method, rows = (document.pop(name) for name in ("title", "method", "rows"))
    document.pop("goals")
    return Table(path.stem.partition("-")[2], title, method, (), rows, details=document, about=about)


def rounded(row: Row) -> dict[str, Value]:
    """The row as it is written."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
