"""A whole session of ours and of the stock `cvat-cli` agent, with the same model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from benchmarks.speed.bench import Bench
from benchmarks.speed.models import Model
from benchmarks.speed.own_loop import OwnLoop, torch_threads
from benchmarks.speed.plots import figure, stacked
from benchmarks.speed.report import Column, Goal, Row, Table

_LIMIT = 3.0
_LEAST_MS = 1.0
"""Less is not told from nothing."""

_PAUSE = 0.1
"""Seconds that a browser draws, and the annotator looks, before the next frame is asked for."""

_METHOD = (
    "Milliseconds that an annotator waits for a frame, mean over a session with the prompts' frame; the "
    "browser's pauses between frames are not counted. SAM2: its own loop, prompts included. Beside a busy "
    "core: the same while another process keeps one core busy, as whatever serves requests must; no agent "
    "on this machine has more of it for the model. Threads: PyTorch's, for all three; with fewer than cores "
    "a core is left for whatever is not the model, as where the model is on a GPU. Ours and the stock agent "
    "(`benchmarks/stock_function.py`) serve the same stand-in with the same model in the same precision. "
    "Beyond: what is left when SAM2's own time is taken off; below zero where the model worked during the "
    "pause, and counted as one millisecond in the ratio. All take turns; medians over the turns."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    Column("threads", "threads", "d"),
    Column("pause_ms", "pause ms", "d"),
    Column("frames", "frames", "d"),
    Column("own_ms", "SAM2 ms"),
    Column("squeezed_ms", "beside a busy core ms"),
    Column("ours_ms", "ours ms"),
    Column("stock_ms", "stock ms"),
    Column("ours_beyond_ms", "ours beyond ms"),
    Column("stock_beyond_ms", "stock beyond ms"),
    Column("ratio", "stock/ours beyond", ".1f"),
)


def measure(bench: Bench) -> Table:
    """SAM2, ours and the stock agent take turns."""
    pauses = (0.0, _PAUSE)
    cores = torch.get_num_threads()
    rows = [
        _row(bench, bench.small, objects, pause, threads)
        for threads in sorted({cores, max(1, cores - 1)}, reverse=True)
        for objects in bench.choose((1,), (1, 8))
        for pause in bench.choose(pauses[:1], pauses)
    ]
    if bench.device.type == "cuda":
        rows += [_row(bench, model, 8, pause, cores) for model in bench.large() for pause in pauses]
    goals = [
        Goal(
            f"stock agent's time beyond the model over ours, {row['model']}, {row['objects']} objects, "
            f"{row['threads']} threads, pauses of {row['pause_ms']} ms",
            float(row["ratio"] or 0),
            _LIMIT,
            at_least=True,
        )
        for row in rows
    ]
    return Table("session", "What an annotator waits for in a session", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """A bar for each agent: the model's own time, and what is beyond."""
    bars = {}
    for row in table.rows:
        about = f"{row['objects']} objects, {row['threads']} threads, pause {row['pause_ms']}"
        own = float(row["own_ms"] or 0)
        for who in ("ours", "stock"):
            beyond = float(row[f"{who}_beyond_ms"] or 0)
            bars[f"{row['model']}, {about}, {who}"] = {
                "SAM2's own loop": min(own, own + beyond),
                "beyond": max(0.0, beyond),
            }
    with figure(table, path, 1, size=(7, 1 + 0.4 * len(bars))) as [axis]:
        stacked(axis, bars, "ms a frame")
        axis.legend(fontsize="small")


def _row(bench: Bench, model: Model, objects: int, pause: float, threads: int) -> Row:
    frames = bench.choose(5, 100 if objects == 1 or bench.device.type == "cuda" else 24)
    clip = bench.clip(frames, model)
    shapes = clip.shapes(objects)
    own = OwnLoop(model, bench.device)
    turns = []
    with bench.stage() as stage:
        ours, stock = stage.function(), stage.function()
        with (
            torch_threads(threads),
            stage.ours(ours, model, threads=threads),
            stage.stock(stock, model, threads=threads),
        ):
            for turn in bench.rounds(3):
                about = f"{model.name}, {objects} objects, {threads} threads, pause {pause} s"
                bench.say(f"session: {about}, turn {turn + 1}")
                alone = own.run(clip, clip.prompts(objects)).whole / frames
                with _busy_core():
                    squeezed = own.run(clip, clip.prompts(objects)).whole / frames
                mine, theirs = (
                    stage.track(function, stage.task(clip), shapes, frames, pause=pause).waited
                    for function in (ours, stock)
                )
                turns.append((alone, squeezed, mine, theirs))
    return {
        "model": model.name,
        "objects": objects,
        "threads": threads,
        "pause_ms": round(1000 * pause),
        "frames": frames,
        "turns": len(turns),
        "own_ms": median(alone for alone, _, _, _ in turns),
        "squeezed_ms": median(squeezed for _, squeezed, _, _ in turns),
        "ours_ms": median(mine for _, _, mine, _ in turns),
        "stock_ms": median(theirs for _, _, _, theirs in turns),
        "ours_beyond_ms": median(mine - alone for alone, _, mine, _ in turns),
        "stock_beyond_ms": median(theirs - alone for alone, _, _, theirs in turns),
        "ratio": median((theirs - alone) / max(mine - alone, _LEAST_MS) for alone, _, mine, theirs in turns),
    }


@contextmanager
def _busy_core() -> Iterator[None]:
    """Another process computes without end."""
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        spinning.kill()
        spinning.wait()
