"""From frame to frame, by how far CVAT is away from the agent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch

from benchmarks.speed.bench import Bench
from benchmarks.speed.idle_agent import start_idle_agent
from benchmarks.speed.models import SMALL, Model
from benchmarks.speed.own_loop import OwnLoop, torch_threads
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.relay import delay_line
from benchmarks.speed.report import Column, Goal, Row, Table

_PAUSE = 0.1
_DELAYS = (0, 10, 25, 50)
_LIMIT = 1.10
_PROMISED = 50
"""Milliseconds each way for which the goal is promised."""

_METHOD = (
    "Median milliseconds from one tracked frame to the next, browser pause of 100 ms. Agents "
    "reach CVAT by a line that delays each direction and limits nothing else; the browser is at CVAT. "
    "Network and browser: an agent that has every answer ready, by the same line: the pause, an event one "
    "way, acquire there and back, complete one way, so the pause and four delays, and what CVAT's "
    "stand-in takes. Model: SAM2's own loop. Expected is the larger of the two. All take turns at each "
    "delay; the ratio is taken within a turn, figures are medians over the turns. PyTorch has all of the "
    "processor's cores but one everywhere: what is looked at is waiting, and an agent, CVAT and the browser "
    "need some of a processor, too."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    Column("delay_ms", "delay ms each way", "d"),
    Column("model_ms", "model ms"),
    Column("network_ms", "network and browser ms"),
    Column("expected_ms", "expected ms"),
    Column("ours_ms", "ours ms"),
    Column("ratio", "ours/expected", ".3f"),
    Column("stock_ms", "stock ms"),
)


def measure(bench: Bench) -> Table:
    """At each delay let the agents and SAM2 take turns."""
    small = [(bench.small, objects) for objects in bench.choose((1,), (1, 32))]
    counts = (1, 8) if bench.device.type == "cuda" else bench.choose((1,), (1,), (1, 8))
    large = [(model, objects) for model in bench.large() for objects in counts]
    rows = [
        *(
            row
            for model, count in small
            for row in _rows(bench, model, count, bench.choose((0, 10), _DELAYS))
        ),
        *(row for model, count in large for row in _rows(bench, model, count, (_PROMISED,))),
    ]
    goals = [
        Goal(
            f"frame to frame over the larger of model, network and browser; {row['model']}, "
            f"{row['objects']} objects, {row['delay_ms']} ms each way",
            float(row["ratio"] or 0),
            _LIMIT if row["delay_ms"] == _PROMISED else None,
        )
        for row in rows
    ]
    return Table("network", "From frame to frame, by network delay", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """Time over delay, a panel for each number of objects."""
    small = [row for row in table.rows if row["model"] == SMALL.name]
    counts = list(dict.fromkeys(row["objects"] for row in small))
    with figure(path, len(counts)) as axes:
        for axis, objects in zip(axes, counts, strict=True):
            where = {"model": SMALL.name, "objects": objects}
            drawn = [
                Line("ours", "ours_ms", where),
                Line("cvat-cli", "stock_ms", where),
                Line("larger of model, network and browser", "expected_ms", where, "--"),
                Line("SAM2's own loop", "model_ms", where, ":"),
            ]
            lines(axis, table.rows, "delay_ms", drawn)
            axis.set(
                title=f"{objects} object(s), pause of 100 ms",
                xlabel="ms each way",
                ylabel="ms to the next frame",
            )


def _rows(bench: Bench, model: Model, objects: int, delays: Sequence[int]) -> list[Row]:
    frames = bench.choose(5, 10 if model.is_small or bench.device.type == "cuda" else 5)
    clip = bench.clip(frames, model)
    shapes = clip.shapes(objects)
    own, threads = OwnLoop(model, bench.device), max(1, torch.get_num_threads() - 1)
    rows: list[Row] = []
    with ExitStack() as stack:
        stage = stack.enter_context(bench.stage())
        line = stack.enter_context(delay_line(stage.port))
        functions = {name: stage.function() for name in ("idle", "ours", "stock")}
        start_idle_agent(line.url, functions["idle"], stage.robot.token)
        stack.enter_context(stage.ours(functions["ours"], model, line.url, threads=threads))
        stack.enter_context(stage.stock(functions["stock"], model, line.url, threads=threads))
        stack.enter_context(torch_threads(threads))
        for delay in delays:
            line.seconds = delay / 1000
            turns: list[dict[str, float]] = []
            for turn in bench.rounds(3):
                bench.say(f"network: {model.name}, {objects} objects, {delay} ms each way, turn {turn + 1}")
                found = {"model": median(own.run(clip, clip.prompts(objects)).frames)}
                for name, function in functions.items():
                    session = stage.track(function, stage.task(clip), shapes, frames, pause=_PAUSE)
                    found[name] = median(session.apart)
                turns.append(found)
            rows.append({"model": model.name, "objects": objects, "delay_ms": delay, **_row(turns)})
    return rows


def _row(turns: Sequence[dict[str, float]]) -> Row:
    """Medians over the turns; the ratio is taken within each, for the machine's speed changes."""
    expected = [max(turn["idle"], turn["model"]) for turn in turns]
    return {
        "model_ms": median(turn["model"] for turn in turns),
        "network_ms": median(turn["idle"] for turn in turns),
        "expected_ms": median(expected),
        "ours_ms": median(turn["ours"] for turn in turns),
        "ratio": median(turn["ours"] / least for turn, least in zip(turns, expected, strict=True)),
        "stock_ms": median(turn["stock"] for turn in turns),
    }
