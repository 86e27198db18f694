"""Tables that many tests and processes fill: a file of JSON lines, summed and written as text in the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence


def append(file_variable: str, row: str) -> None:
    """Add a line to the file that this variable of the environment names; where it names none, do nothing."""
    if path := os.environ.get(file_variable):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, f"{row}\n".encode())  # one write: lines of parallel tests do not mix
        finally:
            os.close(descriptor)


def render(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as text; all columns but the first hold numbers."""
    table = [list(heads), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table
    )
