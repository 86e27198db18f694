"""How long an answer waits for Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles

from benchmarks.speed.bench import Bench
from benchmarks.speed.models import Model
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.spans import Served, served
from tests.sized_tracker import HEIGHT, WIDTH

_LIMIT_MS = 1.0
_LIMIT_SHARE = 0.02
_PACE = "0.03 0.003"
_OBJECTS = (1, 8, 32)
_STORE = ("record", "read", "publish")
_MODEL = ("encode", "prompt", "step", "run lengths", "seal")

_METHOD = (
    "Milliseconds between having a request and telling CVAT the answer in which a call of the agent's "
    "store was under way, and not the model at work on that very answer: record the request, read records, "
    "publish answers; from the call to its return in the agent, so with the agent's own waits for its event "
    "loop. Publishing counts in full, though the model may be at the next frame by then. Publish alone: the "
    "same call of the same store, once every 50 ms, in a process that does nothing else; by a bare socket: "
    "only its bytes. Redis is real, its append-only file on, fsync every second. Written behind the answers "
    "are memories, which compete for Redis. Published sizes: no model, but one's time (30 ms a frame and "
    "3 ms an object, asleep as for a GPU) and records, half a megabyte for each memory."
)
_COLUMNS = (
    Column("model", "model"),
    Column("objects", "objects", "d"),
    Column("record_ms", "record ms", ".2f"),
    Column("read_ms", "read ms", ".2f"),
    Column("publish_ms", "publish ms", ".2f"),
    Column("checkpoint_ms", "all ms", ".2f"),
    Column("p95_ms", "p95 ms", ".2f"),
    Column("alone_ms", "publish alone ms", ".2f"),
    Column("bare_ms", "by a bare socket ms", ".2f"),
    Column("ping_ms", "a PING ms", ".2f"),
    Column("frame_ms", "frame ms"),
    Column("share", "share", ".3f"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """A model, or the time and sizes of one."""

    model: Model
    more: dict[str, str]


def measure(bench: Bench) -> Table:
    """Track with each model and number of objects, and look at what the agent wrote down."""
    rows = [
        _row(bench, subject, objects)
        for subject in _subjects(bench)
        for objects in bench.choose((1,), _OBJECTS)
    ]
    goals = []
    for row in rows:
        told = f"checkpoint, {row['model']}, {row['objects']} objects"
        goals.append(Goal(f"{told}, ms", float(row["checkpoint_ms"] or 0), _LIMIT_MS))
        if bench.device.type == "cuda" and row["model"] not in ("published sizes", bench.small.name):
            goals.append(Goal(f"{told}, share of the frame", float(row["share"] or 0), _LIMIT_SHARE))
    return Table("checkpoint", "An answer's wait for Redis", _METHOD, _COLUMNS, rows, goals)


def wait(found: Served) -> float:
    """Milliseconds that an answer waited for the store.

    What the store does while the model is at work on the answer is not waited for.  Work on the next frame
    begins before the answer is published, and hides nothing of that: it is told from the answer's own by
    not being over when publishing begins.
    """
    published = min(
        (s.begin for s in found.spans if s.name == "publish" and s.begin >= found.acquire.end),
        default=found.complete.begin,
    )
    own = [span for span in found.spans if span.name in _MODEL and span.end <= published]
    both = replace(found, spans=[*own, *(span for span in found.spans if span.name in _STORE)])
    return both.milliseconds(*_MODEL, *_STORE) - both.milliseconds(*_MODEL)


def draw(table: Table, path: Path) -> None:
    """Milliseconds over objects, a panel for each model."""
    models = list(dict.fromkeys(str(row["model"]) for row in table.rows))
    with figure(table, path, len(models)) as axes:
        for axis, model in zip(axes, models, strict=True):
            where = {"model": model}
            drawn = [
                Line(key, f"{key}_ms", where) for key in ("record", "read", "publish", "checkpoint", "p95")
            ]
            lines(axis, table.rows, "objects", drawn)
            axis.axhline(_LIMIT_MS, color="grey", linestyle="--")
            axis.set(title=model, xlabel="objects", ylabel="ms a frame")


def _subjects(bench: Bench) -> Iterator[Subject]:
    yield Subject(bench.small, {})
    yield Subject(
        replace(bench.small, name="published sizes", size=(WIDTH, HEIGHT)), {"BENCHMARK_PACED": _PACE}
    )
    if bench.device.type == "cuda":
        for model in bench.large():
            yield Subject(model, {})


def _row(bench: Bench, subject: Subject, objects: int) -> Row:
    frames = bench.choose(5, 40)
    clip = bench.clip(frames, subject.model)
    bench.say(f"checkpoint: {subject.model.name}, {objects} objects")
    with bench.stage() as stage:
        function = stage.function()
        with stage.traced(function, subject.model, **subject.more) as agent:
            session = stage.track(function, stage.task(clip), clip.shapes(objects), frames)
            spans = agent.spans(session.frames[-1].asked)
        alone = stage.redis_alone(objects)
    # The first tracked frames find connections and allocators cold.
    asked = session.tracked[2:]
    found = [served(spans, frame.asked, frame.answered) for frame in asked]
    whole = [wait(each) for each in found]
    return {
        "model": subject.model.name,
        "objects": objects,
        "frames": len(asked),
        "record_ms": median(each.milliseconds("record") for each in found),
        "read_ms": median(each.milliseconds("read") for each in found),
        "publish_ms": median(each.milliseconds("publish") for each in found),
        "checkpoint_ms": median(whole),
        "alone_ms": alone.library,
        "bare_ms": alone.bare,
        "ping_ms": alone.ping,
        "p95_ms": quantiles(whole, n=20)[-1],
        "frame_ms": median(frame.milliseconds for frame in asked),
        "share": median(took / frame.milliseconds for took, frame in zip(whole, asked, strict=True)),
    }
