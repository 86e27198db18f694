"""HTTP requests of a tracked frame, and which of them the annotator waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from benchmarks.speed.bench import Bench
from benchmarks.speed.plots import figure, stacked
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.stage import Stage
from tests.cvat_standin.journal import LogEntry

_PAUSE = 0.1
_LIMIT = 2.0

_METHOD = (
    "From the request log of CVAT's stand-in, mean over the tracked frames of a session with one object. "
    "Of the agent's calls those are on the critical path that were under way between the annotator's "
    "`run` coming in and the agent's `complete` coming in, and `complete` itself; the fetch of another "
    "frame than the one asked for is not, nor asking for more work while there is some. In all: every call "
    "of the agent from one `run` to the next."
)
_KINDS = ("acquire", "complete", "frame", "data/meta", "task", "jobs", "labels", "other")
_COLUMNS = (
    Column("agent", "agent"),
    Column("pause_ms", "browser pause ms", ".0f"),
    Column("critical", "critical path", ".2f"),
    Column("in_all", "in all", ".2f"),
    *(Column(kind, kind, ".2f") for kind in _KINDS),
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that CVAT got, in seconds."""

    kind: str
    frame: int | None
    begin: float
    end: float


def measure(bench: Bench) -> Table:
    """Track once with each agent and kind of browser, and read CVAT's log."""
    rows: list[Row] = []
    for agent in ("ours", "stock"):
        for pause in (_PAUSE, 0.0):
            bench.say(f"requests: {agent}, a pause of {pause * 1000:.0f} ms")
            rows.append(_row(bench, agent, pause))
    goals = [
        Goal(f"requests on the critical path, {row['agent']}, pause of {row['pause_ms']:.0f} ms",
             float(row["critical"] or 0), _LIMIT if row["agent"] == "ours" else None)
        for row in rows
    ]  # fmt: skip
    return Table("requests", "HTTP requests of a tracked frame", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """A bar for each agent and browser."""
    bars = {
        f"{row['agent']}, pause of {row['pause_ms']:.0f} ms": {
            kind: float(row[kind] or 0) for kind in _KINDS if row[kind]
        }
        for row in table.rows
    }
    with figure(table, path, 1, size=(7, 2.6)) as [axis]:
        stacked(axis, bars, "HTTP requests on the critical path of a frame")
        axis.legend(fontsize="small")


def critical(calls: Sequence[Call], frame: int, began: float, completed: float) -> list[Call]:
    """The agent's calls that the answer for a frame waited for; it was asked for and completed then.

    Whoever asks for work after the question is in gets it; to ask for more meanwhile holds nothing up.
    """
    taken = min((call.end for call in calls if call.kind == "acquire" and call.begin >= began), default=began)
    return [
        call
        for call in calls
        if call.begin <= completed
        and call.end > began
        and (call.kind != "acquire" or call.begin <= taken)
        and (call.kind != "frame" or call.frame == frame)
        and (call.kind != "complete" or call.begin == completed)
    ]


def _row(bench: Bench, agent: str, pause: float) -> Row:
    frames = bench.choose(4, 24)
    clip = bench.clip(frames, bench.small)
    with bench.stage() as stage:
        function, task = stage.function(), stage.task(clip)
        with _serving(bench, stage, agent, function):
            stage.track(function, task, clip.shapes(1), frames, pause=pause)
        entries = stage.cvat.log()
    runs = [_call(entry) for entry in entries if entry.path.endswith("/run")][1:]
    calls = [_call(entry) for entry in entries if entry.user == "robot" and not entry.path.endswith("/watch")]
    counts: Counter[str] = Counter()
    totals = []
    for frame, run in enumerate(runs, start=1):
        [completed] = [
            call.begin for call in calls if call.kind == "complete" and run.begin <= call.begin < run.end
        ]
        found = critical(calls, frame, run.begin, completed)
        counts.update(call.kind for call in found)
        if frame < len(runs):
            totals.append(sum(1 for call in calls if run.begin <= call.begin < runs[frame].begin))
    return {
        "agent": agent,
        "pause_ms": 1000 * pause,
        "frames": len(runs),
        "critical": counts.total() / len(runs),
        "in_all": mean(totals),
        **{kind: counts[kind] / len(runs) for kind in _KINDS},
    }


def _serving(bench: Bench, stage: Stage, agent: str, function: int) -> AbstractContextManager[object]:
    return stage.ours(function, bench.small) if agent == "ours" else stage.stock(function, bench.small)


def _call(entry: LogEntry) -> Call:
    begin = entry.time.timestamp()
    frame = None
    words = dict(part.partition("=")[::2] for part in entry.query.split("&"))
    if entry.path.endswith("/data/"):
        kind, frame = "frame", int(words.get("number", -1))
    else:
        kind = next((kind for kind in _KINDS if entry.path.endswith(f"/{kind}")), "other")
        if "/api/tasks/" in entry.path and kind == "other":
            kind = "task"
    return Call(kind, frame, begin, begin + (entry.milliseconds or float("inf")) / 1000)
