"""What `make bench` makes of what it found: waits, ratios, verdicts and plots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks import redraw
from benchmarks.speed.bench import Bench
from benchmarks.speed.plots import origin
from benchmarks.speed.program import RESULTS
from benchmarks.speed.report import Row
from benchmarks.speed.spans import Served, Span, served
from benchmarks.speed.tables.checkpoint import wait
from benchmarks.speed.tables.network import Turn, summary
from benchmarks.speed.tables.objects import judge

RESULT_FILES = sorted(RESULTS.glob("*.json"))
ACQUIRE = Span(name="acquire", begin=0.0, end=1.0, request="r1")
COMPLETE = Span(name="complete", begin=10.0, end=12.0, request="r1")
SEAL = Span(name="seal", begin=6.0, end=6.5)
PUBLISH = Span(name="publish", begin=7.0, end=9.0)


def answer(*spans: Span) -> Served:
    """An answer whose model works from 2 to 6, and which is sealed and published after that."""
    step = Span(name="step", begin=2.0, end=6.0)
    return served([ACQUIRE, *spans, step, SEAL, COMPLETE], 0.0, 13.0)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        pytest.param([PUBLISH], 2.0, id="publishing counts in full"),
        pytest.param(
            [PUBLISH, Span(name="encode", begin=7.5, end=12.0)], 2.0, id="beside the next frame, too"
        ),
        pytest.param(
            [PUBLISH, Span(name="encode", begin=6.6, end=8.0)], 2.0, id="which may have begun before it"
        ),
        pytest.param(
            [Span(name="record", begin=1.0, end=4.0), PUBLISH],
            1.0 + 2.0,
            id="the model's time hides a record",
        ),
        pytest.param(
            [Span(name="record", begin=1.0, end=9.5), PUBLISH, Span(name="encode", begin=7.5, end=12.0)],
            1.0
            + 3.0,  # until 2, and from when it is sealed; both are waited for at once while it is published
            id="a slow record is waited for, whatever the model does next",
        ),
        pytest.param(
            [Span(name="read", begin=1.2, end=2.2), Span(name="record", begin=1.0, end=1.5), PUBLISH],
            1.0 + 2.0,
            id="what is under way at once counts once",
        ),
        pytest.param(
            [Span(name="remember", begin=6.5, end=9.9), PUBLISH], 2.0, id="memories are not its own"
        ),
        pytest.param([Span(name="record", begin=1.0, end=3.0)], 1.0, id="nothing to publish"),
    ],
)
def test_an_answer_waits_for_the_store_where_its_own_model_does_not_work(
    spans: list[Span], seconds: float
) -> None:
    assert wait(answer(*spans)) == pytest.approx(1000 * seconds)


def test_the_networks_ratio_is_a_turns_and_tells_how_far_turns_differ() -> None:
    turns = [
        Turn("small", 1, 50, model_ms=20, network_ms=300, ours_ms=330, stock_ms=600),
        Turn("small", 1, 50, model_ms=20, network_ms=400, ours_ms=404, stock_ms=610),
        Turn("small", 1, 50, model_ms=500, network_ms=300, ours_ms=520, stock_ms=620),
        Turn("small", 32, 50, model_ms=400, network_ms=300, ours_ms=480, stock_ms=700),
    ]

    one, many = summary(turns)

    assert (one["model"], one["objects"], one["delay_ms"], one["ours_ms"]) == ("small", 1, 50, 404)
    assert one["ratio_least"] == pytest.approx(1.01)
    assert one["ratio"] == pytest.approx(1.04)
    assert one["ratio_most"] == pytest.approx(1.1)
    assert one["ratio_of_medians"] == pytest.approx(404 / 400)
    assert (many["objects"], many["ratio_least"], many["ratio_most"]) == (32, 1.2, 1.2)


def test_no_worse_than_sam2_is_judged_inside_the_agent(tmp_path: Path) -> None:
    row: Row = {
        "model": "small",
        "objects": 32,
        "request_ratio": 1.26,
        "step_ratio": 1.21,
        "tracker_ratio": 0.99,
    }

    goals = judge(Bench("cpu", torch.device("cpu"), tmp_path), [row])

    assert [(goal.measure, goal.figure, goal.met) for goal in goals] == [
        ("request over SAM2's own loop, small, 32 objects", 1.26, None),
        ("encoder and step over SAM2's own loop, small, 32 objects, inside the agent", 1.21, False),
        ("encoder and step over SAM2's own loop, small, 32 objects, without an agent", 0.99, None),
    ]


def test_32_objects_of_a_published_model_have_a_goal(tmp_path: Path) -> None:
    row: Row = {
        "model": "sam2.1-hiera-tiny",
        "objects": 32,
        "request_ratio": 1.2,
        "step_ratio": 1.0,
        "tracker_ratio": 1.0,
    }

    goals = judge(Bench("cpu", torch.device("cpu"), tmp_path), [row])

    assert [(goal.limit, goal.met) for goal in goals] == [(1.15, False), (1.0, True), (None, None)]


def test_machine_and_date_are_told_as_far_as_they_are_known() -> None:
    machine = {"processor": "EPYC", "cores": 2, "memory_gib": 23.5, "device": "cuda", "gpu": "H200"}

    assert origin({"machine": machine, "date": "today"}) == "EPYC, 2 cores, 23.5 GiB, H200, today"
    assert origin({"date": "today"}) == "today"
    assert origin({}) == ""


@pytest.mark.parametrize("result", RESULT_FILES, ids=lambda path: path.stem)
def test_a_committed_plot_is_of_the_figures_beside_it(result: Path) -> None:
    assert json.loads(result.read_text())["date"] in result.with_suffix(".svg").read_text()


@pytest.mark.parametrize("result", RESULT_FILES, ids=lambda path: path.stem)
def test_the_same_figures_are_drawn_as_the_same_file_with_machine_and_date(
    result: Path, tmp_path: Path
) -> None:
    shutil.copy(result, tmp_path)
    plot = tmp_path / f"{result.stem}.svg"
    assert redraw.main([str(tmp_path)]) == 0
    first = plot.read_bytes()
    assert redraw.main([str(tmp_path)]) == 0

    assert plot.read_bytes() == first
    document = json.loads(result.read_text())
    assert (
        f"{document['cores'] if 'cores' in document else document['machine']['cores']} cores"
        in first.decode()
    )
    assert document["date"] in first.decode()


def test_figures_of_no_known_table_are_told(tmp_path: Path) -> None:
    (tmp_path / "cpu-what.json").write_text("{}")

    with pytest.raises(LookupError, match=r"cpu-what\.json is not of a table that is known"):
        redraw.main([str(tmp_path)])
