"""From frame to frame, by how far CVAT is away from the agent."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks.speed.bench import Bench
from benchmarks.speed.idle_agent import start_idle_agent
from benchmarks.speed.models import Model
from benchmarks.speed.own_loop import OwnLoop, torch_threads
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.relay import delay_line
from benchmarks.speed.report import Column, Goal, Row, Table, rounded

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
    "delay; the ratio is taken within a turn, figures are medians over the turns, and least and most are the "
    "turns' ratios. Of the medians: the ratio of the two medians, which is another where the machine's speed "
    "changes between turns. PyTorch has all of the processor's cores but one everywhere: what is looked at "
    "is waiting, and an agent, CVAT and the browser need some of a processor, too."
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
    Column("ratio_least", "least", ".3f"),
    Column("ratio_most", "most", ".3f"),
    Column("ratio_of_medians", "of the medians", ".3f"),
    Column("stock_ms", "stock ms"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """Milliseconds from frame to frame that SAM2's loop and the agents had one after the other."""

    model: str
    objects: int
    delay_ms: int
    model_ms: float
    network_ms: float
    ours_ms: float
    stock_ms: float

    @property
    def expected_ms(self) -> float:
        """What nobody can be faster than."""
        return max(self.model_ms, self.network_ms)

    @property
    def ratio(self) -> float:
        """Ours over what is expected; taken within a turn, for the machine's speed changes."""
        return self.ours_ms / self.expected_ms


def measure(bench: Bench) -> Table:
    """At each delay let the agents and SAM2 take turns."""
    small = [(bench.small, objects) for objects in bench.choose((1,), (1, 32))]
    counts = (1, 8) if bench.device.type == "cuda" else bench.choose((1,), (1,), (1, 8))
    large = [(model, objects) for model in bench.large() for objects in counts]
    delays = bench.choose((0, 10), _DELAYS)
    turns = [turn for model, count in small for turn in _turns(bench, model, count, delays)]
    turns += [turn for model, count in large for turn in _turns(bench, model, count, (_PROMISED,))]
    rows = summary(turns)
    goals = [
        Goal(
            f"frame to frame over the larger of model, network and browser; {row['model']}, "
            f"{row['objects']} objects, {row['delay_ms']} ms each way",
            float(row["ratio"] or 0),
            _LIMIT if row["delay_ms"] == _PROMISED else None,
        )
        for row in rows
    ]
    details = {"turns": [rounded({**asdict(turn), "ratio": turn.ratio}) for turn in turns]}
    return Table("network", "From frame to frame, by network delay", _METHOD, _COLUMNS, rows, goals, details)


def summary(turns: Sequence[Turn]) -> list[Row]:
    """A row for each model, number of objects and delay, in the order in which they come."""
    rows: list[Row] = []
    for place in dict.fromkeys((turn.model, turn.objects, turn.delay_ms) for turn in turns):
        here = [turn for turn in turns if (turn.model, turn.objects, turn.delay_ms) == place]
        ratios = [turn.ratio for turn in here]
        expected, ours = median(turn.expected_ms for turn in here), median(turn.ours_ms for turn in here)
        rows.append(
            {
                **dict(zip(("model", "objects", "delay_ms"), place, strict=True)),
                "model_ms": median(turn.model_ms for turn in here),
                "network_ms": median(turn.network_ms for turn in here),
                "expected_ms": expected,
                "ours_ms": ours,
                "ratio": median(ratios),
                "ratio_least": min(ratios),
                "ratio_most": max(ratios),
                "ratio_of_medians": ours / expected,
                "stock_ms": median(turn.stock_ms for turn in here),
            }
        )
    return rows


def draw(table: Table, path: Path) -> None:
    """Time over delay, a panel for each model and number of objects."""
    subjects = list(dict.fromkeys((row["model"], row["objects"]) for row in table.rows))
    delays = sorted({float(row["delay_ms"] or 0) for row in table.rows})
    margin = max(1.0, delays[-1] / 20)
    with figure(table, path, len(subjects)) as axes:
        for axis, (model, objects) in zip(axes, subjects, strict=True):
            where = {"model": model, "objects": objects}
            drawn = [
                Line("ours", "ours_ms", where),
                Line("cvat-cli", "stock_ms", where),
                Line("larger of model, network and browser", "expected_ms", where, "s--"),
                Line("SAM2's own loop", "model_ms", where, "x:"),
            ]
            lines(axis, table.rows, "delay_ms", drawn)
            axis.set(
                title=f"{model}, {objects} object(s)",
                xlabel="ms each way; the browser pauses for 100 ms",
                xlim=(-margin, delays[-1] + margin),
                ylabel="ms to the next frame",
            )


def _turns(bench: Bench, model: Model, objects: int, delays: Sequence[int]) -> list[Turn]:
    """So many turns at each delay."""
    frames = bench.choose(5, 10 if model.is_small or bench.device.type == "cuda" else 5)
    clip = bench.clip(frames, model)
    shapes = clip.shapes(objects)
    own, threads = OwnLoop(model, bench.device), max(1, torch.get_num_threads() - 1)
    turns: list[Turn] = []
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
            for turn in bench.rounds(3):
                bench.say(f"network: {model.name}, {objects} objects, {delay} ms each way, turn {turn + 1}")
                alone = median(own.run(clip, clip.prompts(objects)).frames)
                found = {}
                for name, function in functions.items():
                    session = stage.track(function, stage.task(clip), shapes, frames, pause=_PAUSE)
                    found[name] = median(session.apart)
                turns.append(
                    Turn(
                        model=model.name,
                        objects=objects,
                        delay_ms=delay,
                        model_ms=alone,
                        network_ms=found["idle"],
                        ours_ms=found["ours"],
                        stock_ms=found["stock"],
                    )
                )
    return turns
