"""Several annotators at once on one function."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median

from benchmarks.speed.bench import Bench
from benchmarks.speed.clip import Clip
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.stage import Session, Stage

_METHOD = (
    "Each annotator tracks one object through a task of their own, all begin at once, browsers do not "
    "pause. Throughput: tracked frames of all a second, from the first question to the last answer. "
    "Share: at the moment when the first is through, the frames of who has least, over the mean of all. "
    "Each number of annotators takes its turn within one life of the agent; medians over the turns."
)
_COLUMNS = (
    Column("annotators", "annotators", "d"),
    Column("throughput", "frames a second"),
    Column("ratio", "over one annotator's", ".2f"),
    Column("wait_ms", "a frame's wait ms"),
    Column("share", "slowest one's share", ".2f"),
)


def measure(bench: Bench) -> Table:
    """Let more and more annotators work at once, in turns."""
    counts = bench.choose((1, 2), (1, 2, 4, 8))
    clip = bench.clip(bench.choose(5, 24), bench.small)
    found: dict[int, list[list[Session]]] = {count: [] for count in counts}
    with bench.stage() as stage:
        function = stage.function()
        with stage.ours(function, bench.small):
            for turn in bench.rounds(3):
                for count in counts:
                    bench.say(f"annotators: {count} at once, turn {turn + 1}")
                    found[count].append(_at_once(stage, function, clip, count))
    alone = median(_throughput(sessions) for sessions in found[counts[0]])
    rows: list[Row] = [
        {
            "annotators": count,
            "throughput": (throughput := median(map(_throughput, turns))),
            "ratio": throughput / alone,
            "wait_ms": median(session.frame for sessions in turns for session in sessions),
            "share": median(map(_share, turns)),
        }
        for count, turns in found.items()
    ]
    last = rows[-1]
    goals = [
        Goal(f"throughput of {last['annotators']} annotators over one's", float(last["ratio"] or 0), None),
        Goal(f"share of the slowest of {last['annotators']}", float(last["share"] or 0), None),
    ]
    return Table("annotators", "Several annotators at once", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """Throughput and wait over the number of annotators."""
    with figure(table, path, 2) as [left, right]:
        lines(left, table.rows, "annotators", [Line("all together", "throughput", {})])
        left.set(xlabel="annotators at once", ylabel="frames a second")
        lines(right, table.rows, "annotators", [Line("mean wait", "wait_ms", {})])
        right.set(xlabel="annotators at once", ylabel="ms a frame")


def _at_once(stage: Stage, function: int, clip: Clip, count: int) -> list[Session]:
    people = [f"ann{number}" for number in range(count)]
    tasks = [stage.task(clip, who) for who in people]
    with ThreadPoolExecutor(count) as pool:
        return list(
            pool.map(
                lambda who, task: stage.track(function, task, clip.shapes(1), len(clip.jpegs), who=who),
                people,
                tasks,
            )
        )


def _throughput(sessions: list[Session]) -> float:
    frames = sum(len(session.tracked) for session in sessions)
    began = min(session.frames[0].asked for session in sessions)
    return frames / (max(session.frames[-1].answered for session in sessions) - began)


def _share(sessions: list[Session]) -> float:
    first = min(session.frames[-1].answered for session in sessions)
    done = [sum(1 for frame in session.tracked if frame.answered <= first) for session in sessions]
    return min(done) / mean(done)
