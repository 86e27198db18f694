"""The real operator in a simulated world: whatever goes wrong, each tracker ends with one function.

CI plays the day's sample (`tests/samples.py`); `python -m tests.operator_simulation` plays as many seeds as
you like.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane import situations
from tests.operator_simulation.__main__ import SITUATION
from tests.operator_simulation.many import play_part
from tests.operator_simulation.scenario import run
from tests.samples import todays_seed

SEEDS = 250


@pytest.mark.timeout(900)
def test_every_tracker_ends_with_one_function_and_its_agent() -> None:
    first = 1000 * todays_seed()
    result = play_part(range(first, first + SEEDS))
    situations.add(SITUATION, result.outcomes)
    told = [
        f"{complaints[0]}\n  replay: python -m tests.operator_simulation --seed {seed} --trace"
        for seed, complaints in result.failures
    ]
    assert not told, "\n".join(told)
    assert result.outcomes.good
    assert result.outcomes.tried == SEEDS


def test_a_seed_decides_everything() -> None:
    for seed in (3, 7):
        once, again = run(seed), run(seed)
        assert once.trace.digest() == again.trace.digest()
        assert once.trace.digest() != run(seed + 1).trace.digest()


def test_another_process_with_other_hashes_plays_the_same() -> None:
    code = (
        "from tests.operator_simulation.scenario import run\n"
        "for seed in (11, 12): print(run(seed).trace.digest())"
    )
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2",
        "PYTHONPATH": os.pathsep.join(str(root / part) for part in ("operator", "agent", "")),
    }
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == [run(seed).trace.digest() for seed in (11, 12)]


def test_a_trace_tells_what_happened() -> None:
    text = io.StringIO()
    run(32, text)
    for words in ("disaster", "POST /api/functions", "registered function", "Ready=True", "CALM"):
        assert words in text.getvalue()
