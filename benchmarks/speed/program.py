"""Running measurements one after the other: telling what goes on, printing, writing and drawing tables."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.speed import machine
from benchmarks.speed.bench import Bench, Effort, progress
from benchmarks.speed.models import Published
from benchmarks.speed.report import Goal
from benchmarks.speed.tables import MEASUREMENTS

RESULTS = Path(__file__).parents[1] / "results"


def run(
    name: str, chosen: argparse.Namespace, *, device: torch.device, published: Sequence[Published]
) -> int:
    """Measure what is chosen; exit status 1 where a goal is missed."""
    effort: Effort = "quick" if chosen.quick else "full" if chosen.full else "normal"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end all that was started
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        _keep_bytecode(Path(folder, "bytecode"))
        bench = Bench(
            name, device, Path(folder), effort, published=published, weights=chosen.weights, say=progress()
        )
        for each in chosen.tables or MEASUREMENTS:
            goals += measure(bench, each, chosen.results)
    print("\n".join(["", "all goals", *(goal.sentence() for goal in goals)]), flush=True)
    return 1 if any(goal.met is False for goal in goals) else 0


def _keep_bytecode(folder: Path) -> None:
    """Let processes find what their predecessors compiled, as in an image, whatever is set here."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def measure(bench: Bench, which: str, results: Path) -> Sequence[Goal]:
    """Measure one table, print it, and write its figures and its plot; return its goals."""
    about = {
        "date": machine.date(),
        "machine": machine.machine(bench.device),
        "versions": machine.versions(),
        "effort": bench.effort,
    }
    table = replace(MEASUREMENTS[which].measure(bench), about=about)
    print(table.text(), flush=True)
    path = results / f"{bench.name}-{table.name}.json"
    table.write(path)
    MEASUREMENTS[which].draw(table, path.with_suffix(".svg"))
    print(f"written: {path} and its plot\n", flush=True)
    return table.goals


def options(name: str) -> argparse.ArgumentParser:
    """The options of both programs."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.speed.{name}")
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", help=f"which tables: {', '.join(MEASUREMENTS)}; default all"
    )
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean nothing")
    parser.add_argument("--full", action="store_true", help="also 32 objects of a published model on a CPU")
    parser.add_argument("--weights", type=Path, help="folder with sam2.1_hiera_*.pt; default random weights")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for figures and plots")
    return parser
