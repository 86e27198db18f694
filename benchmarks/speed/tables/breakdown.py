"""Where the time of one frame goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean

from benchmarks.speed.bench import Bench
from benchmarks.speed.models import Model
from benchmarks.speed.plots import figure, stacked
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.spans import Served, served
from benchmarks.speed.stage import Asked

_LIMIT = 0.2

_ASKING, _ACQUIRE, _COMPLETE, _BETWEEN = "ask, event", "acquire", "complete, answer", "event loop, threads"
_INNERMOST_FIRST = (
    "publish",
    "read",
    "record",
    "run lengths",
    "seal",
    "resize",
    "encode",
    "step",
    "decode",
    "fetch",
)
PARTS = (
    _ASKING,
    _ACQUIRE,
    "record",
    "fetch",
    "decode",
    "read",
    "resize",
    "encode",
    "step",
    "run lengths",
    "seal",
    "publish",
    _BETWEEN,
    _COMPLETE,
)
"""In about the order in which they happen."""

_METHOD = (
    "Mean milliseconds of a tracked frame, from the annotator's question to the answer, by what was under "
    "way: the innermost call counts, and where several are, what the answer waits for; parts add up to "
    "the whole. Ask: `run` comes in and the event goes out; acquire and complete: HTTP, with what CVAT's "
    "stand-in takes; fetch: HTTP without decoding; encode: without resizing; run lengths and seal: points "
    "of the masks and records of the answers; the rest is the event loop: parsing, planning, thread "
    "switches, waiting for the interpreter. Network: SAM2's methods that run the network, waited for; "
    "beyond it is everything else."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    *(Column(part, part, ".2f") for part in PARTS),
    Column("whole_ms", "whole ms", ".2f"),
    Column("forward_ms", "network ms", ".2f"),
    Column("overhead", "beyond/network", ".2f"),
)


def measure(bench: Bench) -> Table:
    """Look at what an agent wrote down, for each model and number of objects."""
    found = [_row(bench, model, objects) for model, objects in _subjects(bench)]
    rows = [row for row, _ in found]
    on_gpu = bench.device.type == "cuda"
    goals = [
        Goal(
            f"time beyond the network over the network's, {row['model']}, {row['objects']} objects",
            float(row["overhead"] or 0),
            _LIMIT if on_gpu and row["model"] != bench.small.name else None,
        )
        for row in rows
    ]
    time_line = {"time_line": found[0][1]}
    return Table("breakdown", "Where a frame's time goes", _METHOD, _COLUMNS, rows, goals, time_line)


def draw(table: Table, path: Path) -> None:
    """A stacked bar for each row, in parts of the whole; and one frame's time line."""
    bars = {}
    for row in table.rows:
        whole = float(row["whole_ms"] or 1)
        name = f"{row['model']}, {row['objects']}\n{whole:.1f} ms"
        bars[name] = {part: 100 * float(row[part] or 0) / whole for part in PARTS}
    spans = table.details["time_line"]
    with figure(table, path, 2, size=(7, 4.4)) as [left, right]:
        stacked(left, bars, "% of a frame")
        left.legend(fontsize="x-small", ncol=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
        if isinstance(spans, list):
            for span in spans:
                right.barh(span["name"], span["end"] - span["begin"], left=span["begin"], height=0.7)
        right.invert_yaxis()
        right.set(title="one frame, one object, small model", xlabel="ms since the question")
        right.grid(alpha=0.3, axis="x")


def partition(found: Served, asked: float, answered: float) -> dict[str, float]:
    """Milliseconds of each part; they add up to the time between the two moments."""
    began, completed = max(found.acquire.begin, asked), found.complete.begin
    acquired = max(found.acquire.end, asked)
    parts: defaultdict[str, float] = defaultdict(float)
    parts[_ASKING] += began - asked
    parts[_ACQUIRE] += acquired - began
    parts[_COMPLETE] += answered - completed
    inside = [span for span in found.spans if span.name in _INNERMOST_FIRST]
    edges = {
        acquired,
        completed,
        *(m for span in inside for m in (span.begin, span.end) if acquired < m < completed),
    }
    moments = sorted(edges)
    for begin, end in pairwise(moments):
        active = {span.name for span in inside if span.begin <= begin and span.end >= end}
        name = next((name for name in _INNERMOST_FIRST if name in active), _BETWEEN)
        parts[name] += end - begin
    return {part: 1000 * seconds for part, seconds in parts.items()}


def _subjects(bench: Bench) -> list[tuple[Model, int]]:
    subjects = [(bench.small, objects) for objects in bench.choose((1,), (1, 8, 32))]
    counts = (1, 32) if bench.device.type == "cuda" else (1,)
    return subjects + [(model, objects) for model in bench.large() for objects in counts]


def _row(bench: Bench, model: Model, objects: int) -> tuple[Row, list[Mapping[str, float | str]]]:
    slow = not model.is_small and bench.device.type == "cpu"
    frames = bench.choose(5, 5 if slow else 40)
    clip = bench.clip(frames, model)
    bench.say(f"breakdown: {model.name}, {objects} objects")
    with bench.stage() as stage:
        function = stage.function()
        with stage.traced(function, model, BENCHMARK_FORWARD="1") as agent:
            session = stage.track(function, stage.task(clip), clip.shapes(objects), frames)
            spans = agent.spans(session.frames[-1].asked)
    asked = session.tracked[2:]
    found = [served(spans, frame.asked, frame.answered) for frame in asked]
    parts = [partition(each, frame.asked, frame.answered) for each, frame in zip(found, asked, strict=True)]
    began, ended = asked[0].asked, asked[-1].answered
    forward = 1000 * sum(
        max(0.0, min(span.end, ended) - max(span.begin, began)) for span in spans if span.name == "forward"
    )
    if not forward:
        raise LookupError(
            "The agent runs the network by other methods than benchmarks/speed/tracing.py names."
        )
    whole, alone = mean(frame.milliseconds for frame in asked), forward / len(asked)
    row: Row = {
        "model": model.name,
        "objects": objects,
        "frames": len(asked),
        **{part: mean(each.get(part, 0.0) for each in parts) for part in PARTS},
        "whole_ms": whole,
        "forward_ms": alone,
        "overhead": whole / alone - 1,
    }
    middle = sorted(range(len(asked)), key=lambda number: asked[number].milliseconds)[len(asked) // 2]
    return row, _time_line(found[middle], asked[middle])


def _time_line(found: Served, frame: Asked) -> list[Mapping[str, float | str]]:
    """All calls while an annotator waited, in milliseconds since the question."""
    spans: Sequence[tuple[str, float, float]] = [
        ("the annotator waits", frame.asked, frame.answered),
        *((span.name, span.begin, span.end) for span in found.spans if span.end > frame.asked),
    ]
    return [
        {
            "name": name,
            "begin": round(1000 * (max(begin, frame.asked) - frame.asked), 3),
            "end": round(1000 * (end - frame.asked), 3),
        }
        for name, begin, end in spans
    ]
