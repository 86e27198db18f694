"""Drawing: lines over a number, and stacked bars; below, on which machine and when it was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.report import Row, Table

mpl.rcParams["svg.hashsalt"] = "figures"  # ids by chance would make each file another


@dataclass(frozen=True, slots=True)
class Line:
    """A figure of the rows that match, over `x`."""

    label: str
    key: str
    where: Mapping[str, object]
    style: str = "o-"


def lines(axis: Axes, rows: Sequence[Row], x: str, drawn: Sequence[Line]) -> None:
    """Draw lines over a figure of the rows."""
    for line in drawn:
        points = [
            (row[x], row[line.key])
            for row in rows
            if row.get(line.key) is not None
            and all(row.get(key) == value for key, value in line.where.items())
        ]
        if points:
            axis.plot(*zip(*points, strict=True), line.style, label=line.label)
    if axis.get_yscale() == "linear":
        axis.update_datalim([(0, 0)], updatex=False)  # the margin above is a part of the whole height
        axis.autoscale_view()
        axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
    axis.legend(fontsize="small")


def stacked(axis: Axes, bars: Mapping[str, Mapping[str, float]], unit: str) -> None:
    """Draw a horizontal bar for each name, of parts in their order."""
    names = list(bars)
    parts = list(dict.fromkeys(part for bar in bars.values() for part in bar))
    colours = mpl.colormaps["tab20"].colors  # type: ignore[attr-defined]
    left = [0.0] * len(names)
    for number, part in enumerate(parts):
        widths = [bars[name].get(part, 0.0) for name in names]
        axis.barh(names, widths, left=left, label=part, color=colours[number % len(colours)])
        left = [before + width for before, width in zip(left, widths, strict=True)]
    axis.invert_yaxis()
    axis.set_xlabel(unit)


def origin(about: Mapping[str, Any]) -> str:
    """Machine and date in a line, as far as they are told."""
    machine = about.get("machine", {})
    words = [
        machine.get("processor"),
        f"{machine['cores']} cores" if "cores" in machine else None,
        f"{machine['memory_gib']} GiB" if "memory_gib" in machine else None,
        machine.get("gpu", "no GPU") if machine else None,
        about.get("date"),
    ]
    return ", ".join(word for word in words if word)


def save(drawn: Figure, path: Path, told: str) -> None:
    """Write a figure with a line below it; the same figure is the same file."""
    drawn.supxlabel(told, x=0.995, ha="right", fontsize="x-small", color="grey")
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, metadata={"Date": None})
    plt.close(drawn)


@contextmanager
def figure(
    table: Table, path: Path, panels: int, *, size: tuple[float, float] = (4.6, 3.4)
) -> Iterator[Sequence[Axes]]:
    """Panels for a table's figures side by side, saved when they are drawn."""
    drawn, axes = plt.subplots(
        1, panels, figsize=(size[0] * panels, size[1]), layout="constrained", squeeze=False
    )
    yield list(axes[0])
    save(drawn, path, origin(table.about))
