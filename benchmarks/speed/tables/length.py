"""What a request costs by the length of the video."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.speed.bench import Bench
from benchmarks.speed.plots import Line, figure, lines
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.stage import Session, Stage

_FLAT = 1.10

_METHOD = (
    "Median milliseconds that an annotator waits for a tracked frame of one object, small model, at the "
    "end of a task of so many images; the task's first request, in which an agent may read its list of "
    "frames, does not count. Tasks of all lengths take turns within one life of the agent. The stock "
    "agent is not asked where it would take minutes."
)
_COLUMNS = (
    Column("length", "frames in the task", ",d"),
    Column("ours_ms", "ours ms"),
    Column("ours_ratio", "over the shortest", ".3f"),
    Column("stock_ms", "stock ms"),
    Column("stock_ratio", "over the shortest", ".2f"),
)


def measure(bench: Bench) -> Table:
    """Let each agent track at the end of tasks of each length."""
    lengths = bench.choose((100, 200), (1_000, 10_000, 100_000))
    stock_lengths = bench.choose((100,), lengths)
    frames = bench.choose(4, 20)
    clip = bench.clip(frames, bench.small)
    with bench.stage() as stage:
        function, tasks = stage.function(), {length: stage.task(clip, length=length) for length in lengths}
        waited: dict[int, list[float]] = {length: [] for length in lengths}
        with stage.ours(function, bench.small):
            for turn in bench.rounds(4):
                for length in lengths:
                    bench.say(f"length: ours, {length:,} frames, turn {turn + 1}")
                    session = stage.track(
                        function, tasks[length], clip.shapes(1), frames, start=length - frames
                    )
                    waited[length] += [] if turn == 0 and bench.effort != "quick" else _waits(session)
        stock = _stock(bench, stage, tasks, stock_lengths)
    rows: list[Row] = []
    for length in lengths:
        ours = median(waited[length])
        theirs = median(stock[length]) if length in stock else None
        rows.append(
            {
                "length": length,
                "ours_ms": ours,
                "ours_ratio": ours / median(waited[lengths[0]]),
                "stock_ms": theirs,
                "stock_ratio": theirs / median(stock[lengths[0]]) if theirs else None,
            }
        )
    goals = [
        Goal(
            f"request with {row['length']:,} frames over one with {lengths[0]:,}, ours",
            float(row["ours_ratio"] or 0),
            _FLAT,
        )
        for row in rows[1:]
    ]
    return Table("length", "A frame by the length of the video", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """Both agents over the length, on logarithmic axes."""
    with figure(table, path, 1, size=(5, 3.4)) as [axis]:
        axis.set(xscale="log", yscale="log", xlabel="frames in the task", ylabel="ms a frame")
        lines(axis, table.rows, "length", [Line("ours", "ours_ms", {}), Line("cvat-cli", "stock_ms", {})])


def _stock(
    bench: Bench, stage: Stage, tasks: dict[int, int], lengths: tuple[int, ...]
) -> dict[int, list[float]]:
    """The same for the stock agent, with less frames: it may take many seconds for each."""
    frames = bench.choose(3, 5)
    function = stage.function()
    found = {}
    clip = bench.clip(1, bench.small)
    with stage.stock(function, bench.small):
        for length in lengths:
            bench.say(f"length: stock, {length:,} frames")
            session = stage.track(function, tasks[length], clip.shapes(1), frames, start=length - frames)
            found[length] = _waits(session)
    return found


def _waits(session: Session) -> list[float]:
    return [frame.milliseconds for frame in session.tracked]
