"""A whole session of ours and of the stock `cvat-cli` agent, with the same model."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.speed.bench import Bench
from benchmarks.speed.models import Model
from benchmarks.speed.own_loop import OwnLoop
from benchmarks.speed.plots import figure, stacked
from benchmarks.speed.report import Column, Goal, Row, Table

_LIMIT = 3.0
_LEAST_MS = 0.1
"""Less is not told from nothing."""

_METHOD = (
    "Milliseconds of a session by its number of frames, the prompts' included, as an annotator waits "
    "whose browser does not pause. SAM2: its own loop, prompts included. Ours and the stock agent "
    "(`benchmarks/stock_function.py`) serve the same stand-in with the same model in the same precision. "
    "Beyond: what is left when SAM2's own time is taken off. All three take turns; medians over the "
    "turns."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    Column("own_ms", "SAM2 ms"),
    Column("ours_ms", "ours ms"),
    Column("stock_ms", "stock ms"),
    Column("ours_beyond_ms", "ours beyond ms"),
    Column("stock_beyond_ms", "stock beyond ms"),
    Column("ratio", "stock/ours beyond", ".1f"),
)


def measure(bench: Bench) -> Table:
    """SAM2, ours and the stock agent take turns."""
    rows = [_row(bench, bench.small, objects) for objects in bench.choose((1,), (1, 8))]
    if bench.device.type == "cuda":
        rows += [_row(bench, model, 8) for model in bench.large()]
    goals = [
        Goal(
            f"stock agent's time beyond the model over ours, {row['model']}, {row['objects']} objects",
            float(row["ratio"] or 0),
            _LIMIT,
            at_least=True,
        )
        for row in rows
    ]
    return Table("session", "A session of 100 frames", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """A bar for each agent: the model's own time, and what is beyond."""
    bars = {}
    for row in table.rows:
        own = float(row["own_ms"] or 0)
        for who in ("ours", "stock"):
            beyond = float(row[f"{who}_beyond_ms"] or 0)
            bars[f"{row['model']}, {row['objects']} objects, {who}"] = {
                "SAM2's own loop": own,
                "beyond": max(0.0, beyond),
            }
    with figure(path, 1, size=(7, 1 + 0.4 * len(bars))) as [axis]:
        stacked(axis, bars, "ms a frame")
        axis.legend(fontsize="small")


def _row(bench: Bench, model: Model, objects: int) -> Row:
    frames = bench.choose(5, 100)
    clip = bench.clip(frames, model)
    shapes = clip.shapes(objects)
    own = OwnLoop(model, bench.device)
    turns = []
    with bench.stage() as stage:
        ours, stock = stage.function(), stage.function()
        with stage.ours(ours, model), stage.stock(stock, model):
            for turn in bench.rounds(3):
                bench.say(f"session: {model.name}, {objects} objects, turn {turn + 1}")
                turns.append(
                    (
                        own.run(clip, clip.prompts(objects)).whole / frames,
                        stage.track(ours, stage.task(clip), shapes, frames).whole / frames,
                        stage.track(stock, stage.task(clip), shapes, frames).whole / frames,
                    )
                )
    return {
        "model": model.name,
        "objects": objects,
        "frames": frames,
        "turns": len(turns),
        "own_ms": median(alone for alone, _, _ in turns),
        "ours_ms": median(mine for _, mine, _ in turns),
        "stock_ms": median(theirs for _, _, theirs in turns),
        "ours_beyond_ms": median(mine - alone for alone, mine, _ in turns),
        "stock_beyond_ms": median(theirs - alone for alone, _, theirs in turns),
        "ratio": median((theirs - alone) / max(mine - alone, _LEAST_MS) for alone, mine, theirs in turns),
    }
