"""From the start of an agent to its first answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median

from benchmarks.speed import bare_load
from benchmarks.speed.bench import Bench
from benchmarks.speed.clip import Clip
from benchmarks.speed.models import SMALL, Model
from benchmarks.speed.plots import figure, stacked
from benchmarks.speed.report import Column, Goal, Row, Table
from benchmarks.speed.stage import Session, Stage
from tests.cvat_standin.waiting import wait_for

_LIMIT_SECONDS = 2.0

_METHOD = (
    "Seconds from the start of a process. Bare: a Python that imports torch and sam2 and loads the model "
    "as sam2's builder does, then prompts it with one object on one frame. Agent: an annotator's first "
    "request waits in the queue; until it is answered, which takes a lease from nobody, a frame from "
    "CVAT, a prompt, and what is recorded. Weights are in the page cache, and predecessors gave their "
    "lease up. Both take turns; medians."
)
_COLUMNS = (
    Column("model", "model"),
    Column("loaded_s", "bare load s", ".2f"),
    Column("prompted_s", "bare load and prompt s", ".2f"),
    Column("answered_s", "agent's first answer s", ".2f"),
    Column("beyond_s", "beyond the load s", ".2f"),
    Column("beyond_prompt_s", "beyond load and prompt s", ".2f"),
)


def measure(bench: Bench) -> Table:
    """Start both in turn, for each model."""
    rows = [_row(bench, model) for model in (bench.small, *bench.large())]
    goals = [goal for row in rows for goal in _goals(row, on_cpu=bench.device.type == "cpu")]
    return Table("start", "From the start to the first answer", _METHOD, _COLUMNS, rows, goals)


def draw(table: Table, path: Path) -> None:
    """A bar for each model and program."""
    bars = {}
    for row in table.rows:
        loaded = float(row["loaded_s"] or 0)
        prompt = float(row["prompted_s"] or 0) - loaded
        rest = float(row["answered_s"] or 0) - loaded - prompt
        bars[f"{row['model']}, bare"] = {"load": loaded, "prompt": prompt}
        bars[f"{row['model']}, agent"] = {"load": loaded, "prompt": prompt, "the agent's own": max(0.0, rest)}
    with figure(table, path, 1, size=(7, 2.6)) as [axis]:
        stacked(axis, bars, "seconds from the start of the process")
        axis.legend(fontsize="small")


def _goals(row: Row, *, on_cpu: bool) -> list[Goal]:
    """An answer takes a prompt, for which a published model needs seconds on a CPU: not so on a GPU."""
    long_prompt = on_cpu and row["model"] != SMALL.name
    after_load = Goal(
        f"first answer after the bare load, {row['model']}, s",
        float(row["beyond_s"] or 0),
        None if long_prompt else _LIMIT_SECONDS,
    )
    after_prompt = Goal(
        f"first answer after the bare load and prompt, {row['model']}, s",
        float(row["beyond_prompt_s"] or 0),
        _LIMIT_SECONDS,
    )
    return [after_load, after_prompt] if long_prompt else [after_load]


def _row(bench: Bench, model: Model) -> Row:
    clip = bench.clip(1, model)
    turns = []
    with bench.stage() as stage:
        function = stage.function()
        for turn in bench.rounds(4):
            bench.say(f"start: {model.name}, turn {turn + 1}")
            turns.append((*_bare(model, clip, stage), _first_answer(stage, function, model, clip)))
    turns = turns[1:] or turns  # the first reads from disk
    return {
        "model": model.name,
        "turns": len(turns),
        "loaded_s": median(loaded for loaded, _, _ in turns),
        "prompted_s": median(prompted for _, prompted, _ in turns),
        "answered_s": median(answered for _, _, answered in turns),
        "beyond_s": median(answered - loaded for loaded, _, answered in turns),
        "beyond_prompt_s": median(answered - prompted for _, prompted, answered in turns),
    }


def _bare(model: Model, clip: Clip, stage: Stage) -> tuple[float, float]:
    """Seconds until a bare process has loaded the model, and prompted it."""
    command = [sys.executable, "-m", bare_load.__name__, str(model.config), str(model.checkpoint)]
    command += [str(stage.device), str(clip.folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    began = time.perf_counter()
    moments = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        for line in process.stdout or ():
            moments[line.strip()] = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed")
    return moments[bare_load.LOADED], moments[bare_load.PROMPTED]


def _first_answer(stage: Stage, function: int, model: Model, clip: Clip) -> float:
    """Seconds until a new agent has answered a request that waited for it."""
    task = stage.task(clip)
    sessions: list[Session] = []
    waiting = threading.Thread(
        target=lambda: sessions.append(stage.track(function, task, clip.shapes(1), 1)), daemon=True
    )
    waiting.start()
    wait_for(
        lambda: any(request.status == "queued" for request in stage.cvat.requests(function)), "a request"
    )
    agent = stage.agent(function, model)
    began = time.perf_counter()
    agent.start()
    try:
        waiting.join(600)
        if not sessions:
            raise RuntimeError(f"The agent did not answer:\n{agent.log_file.read_text()}")
        agent.stop()
    finally:
        agent.kill()
    return sessions[0].frames[0].answered - began
