"""Draw the plots of figures that were written anew, without measuring.

python -m benchmarks.redraw [FOLDER]      by default `benchmarks/results/`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import operator_scale_plot
from benchmarks.speed.program import RESULTS
from benchmarks.speed.report import read
from benchmarks.speed.tables import MEASUREMENTS

_OPERATOR = "operator-scale"


def main(arguments: Sequence[str]) -> int:
    """Draw a plot beside each results file of a folder."""
    for path in sorted(Path(*arguments or (RESULTS,)).glob("*.json")):
        redraw(path)
        print(f"drawn: {path.with_suffix('.svg')}")
    return 0


def redraw(path: Path) -> None:
    """Draw the plot of one results file, beside it.  Raises `LookupError` where nobody knows how."""
    plot, which = path.with_suffix(".svg"), path.stem.partition("-")[2]
    if path.stem == _OPERATOR:
        operator_scale_plot.plot(json.loads(path.read_text()), plot)
    elif which in MEASUREMENTS:
        MEASUREMENTS[which].draw(read(path), plot)
    else:
        raise LookupError(f"{path} is not of a table that is known")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
