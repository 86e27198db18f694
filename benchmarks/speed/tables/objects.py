"""A frame by the number of objects: a whole request and its model's part, over SAM2's own loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks.speed.arithmetic import count, rate
from benchmarks.speed.bench import Bench
from benchmarks.speed.models import Model
from benchmarks.speed.own_loop import OwnLoop
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.spans import Span
from benchmarks.speed.stage import Session
from benchmarks.speed.tracker_loop import TrackerLoop

_LIMITS = {1: 1.05, 32: 1.15}
_BATCHED = 0.5
"""With 32 objects on a GPU, where they are tracked in one batch and SAM2's own loop takes them one by one."""
_NO_WORSE = 1.0
"""On a CPU, where there is nothing to gain by a batch: what an annotator waits for, so inside the agent."""

_METHOD = (
    "Mean milliseconds of a tracked frame over all frames of a clip but the first. SAM2: its own "
    "propagate_in_video, each next() timed, frames read and resized before. Tracker: our encoder and step "
    "on the same frames in the same process, without an agent. Request: what an annotator "
    "waits for whose browser does not pause; CVAT's stand-in, Redis with an append-only file and the "
    "agent are processes on this machine. Step: the image encoder and SAM2's step inside the agent. SAM2 "
    "and the annotator take turns; ratios are taken within a turn, figures are medians over the turns. "
    "Masks of random weights are ragged, with ten times a real object's run lengths. Floor: the "
    "operations of the network, as PyTorch's counter finds them in SAM2's own loop, at the rate at which "
    "this device multiplies two large matrices."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    Column("own_ms", "SAM2 ms"),
    Column("tracker_ms", "tracker ms"),
    Column("step_ms", "step ms"),
    Column("request_ms", "request ms"),
    Column("tracker_ratio", "tracker/SAM2", ".3f"),
    Column("step_ratio", "step/SAM2", ".3f"),
    Column("request_ratio", "request/SAM2", ".3f"),
    Column("beyond_ms", "beyond ms"),
    Column("gflop", "GFLOP a frame"),
    Column("floor_ms", "floor ms", ".2f"),
)


def measure(bench: Bench) -> Table:
    """SAM2 and the agent take turns, for each model and number of objects."""
    rows = [row for model in (bench.small, *bench.large()) for row in _rows(bench, model)]
    return Table("objects", "A frame by the number of objects", _METHOD, _COLUMNS, rows, judge(bench, rows))


def draw(table: Table, path: Path) -> None:
    """Time against objects, a panel for each model."""
    models = list(dict.fromkeys(str(row["model"]) for row in table.rows))
    with figure(table, path, len(models)) as axes:
        for axis, model in zip(axes, models, strict=True):
            drawn = [
                Line(label, key, {"model": model})
                for label, key in (
                    ("SAM2's own loop", "own_ms"),
                    ("our encoder and step", "tracker_ms"),
                    ("the same inside the agent", "step_ms"),
                    ("our whole request", "request_ms"),
                )
            ]
            lines(axis, table.rows, "objects", drawn)
            axis.set(title=model, xlabel="objects", ylabel="ms a frame")


def judge(bench: Bench, rows: Sequence[Row]) -> list[Goal]:
    """What is promised of these rows, and what is only told."""
    goals = []
    for row in rows:
        objects, model = int(row["objects"] or 0), row["model"]
        limit = None if model == bench.small.name else _LIMITS.get(objects)
        on_gpu = bench.device.type == "cuda"
        if on_gpu and limit and objects == 32:
            limit = _BATCHED
        told = f"request over SAM2's own loop, {model}, {objects} objects"
        goals.append(Goal(told, float(row["request_ratio"] or 0), limit))
        if objects == 32 and not on_gpu:
            told = f"encoder and step over SAM2's own loop, {model}, 32 objects"
            goals.append(Goal(f"{told}, inside the agent", float(row["step_ratio"] or 0), _NO_WORSE))
            goals.append(Goal(f"{told}, without an agent", float(row["tracker_ratio"] or 0)))
        if row.get("floor_ms"):
            over = float(row["request_ms"] or 0) / float(row["floor_ms"] or 1)
            goals.append(Goal(f"request over the arithmetic floor, {model}, {objects} objects", over))
    return goals


def _counts(bench: Bench, model: Model) -> tuple[int, ...]:
    if not _is_slow(bench, model):
        return bench.choose((1,), (1, 8, 32))
    return bench.choose((1,), (1,), (1, 8, 32))


def _rows(bench: Bench, model: Model) -> Iterator[Row]:
    own, tracker = OwnLoop(model, bench.device), TrackerLoop(model, bench.device)
    counted = None
    if bench.device.type == "cuda" or bench.effort == "full":
        bench.say(f"objects: {model.name}, counting operations")
        counted = count(own, bench.clip(_frames(bench, model, 1), model))
    for objects in _counts(bench, model):
        row = _row(bench, model, own, tracker, objects)
        yield row if counted is None else {**row, **_floor(counted.of(objects), bench.device)}


def _frames(bench: Bench, model: Model, objects: int) -> int:
    if _is_slow(bench, model):
        return bench.choose(4, 6 if objects == 1 else 4)
    return bench.choose(4, 24)


def _row(bench: Bench, model: Model, own: OwnLoop, tracker: TrackerLoop, objects: int) -> Row:
    frames = _frames(bench, model, objects)
    rounds = bench.rounds(3) if not _is_slow(bench, model) else bench.rounds(2 if objects == 1 else 1)
    clip = bench.clip(frames, model)
    turns = []
    with bench.stage() as stage:
        function = stage.function()
        with stage.traced(function, model) as agent:
            if not _is_slow(bench, model):  # what is allocated and looked up only once does not count
                own.run(clip, clip.prompts(objects))
                tracker.run(clip, clip.prompts(objects))
                stage.track(function, stage.task(clip), clip.shapes(objects), frames)
            for turn in rounds:
                bench.say(f"objects: {model.name}, {objects} objects, turn {turn + 1} of {len(rounds)}")
                alone = own.run(clip, clip.prompts(objects)).frame
                ours = tracker.run(clip, clip.prompts(objects))
                session = stage.track(function, stage.task(clip), clip.shapes(objects), frames)
                step = _step(agent.spans(session.frames[-1].asked), session)
                turns.append((alone, ours, step, session.frame))
    return {
        "model": model.name,
        "objects": objects,
        "frames": frames,
        "turns": len(turns),
        "own_ms": median(alone for alone, _, _, _ in turns),
        "tracker_ms": median(ours for _, ours, _, _ in turns),
        "step_ms": median(step for _, _, step, _ in turns),
        "request_ms": median(whole for _, _, _, whole in turns),
        "tracker_ratio": median(ours / alone for alone, ours, _, _ in turns),
        "step_ratio": median(step / alone for alone, _, step, _ in turns),
        "request_ratio": median(whole / alone for alone, _, _, whole in turns),
        "beyond_ms": median(whole - alone for alone, _, _, whole in turns),
    }


def _floor(operations: float, device: torch.device) -> dict[str, float]:
    """The network's operations, and the milliseconds that they take as one large matrix product."""
    return {"gflop": operations / 1e9, "floor_ms": 1000 * operations / rate(device)}


def _is_slow(bench: Bench, model: Model) -> bool:
    """Whether a frame takes seconds."""
    return bench.device.type == "cpu" and not model.is_small


def _step(spans: list[Span], session: Session) -> float:
    """Milliseconds of a tracked frame that the agent's model worked, mean."""
    began, ended = session.frames[0].answered, session.frames[-1].answered
    worked = [
        span.milliseconds for span in spans if span.name in ("encode", "step") and began <= span.begin < ended
    ]
    return sum(worked) / len(session.tracked)
