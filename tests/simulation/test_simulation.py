"""The real agent in a simulated world: whatever goes wrong, every annotator gets the undisturbed answers.

CI plays the day's sample (`tests/samples.py`); `python -m tests.simulation` plays as many seeds as you like.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fault_table
from tests.fault_table import Verdict
from tests.samples import todays_seed
from tests.simulation.scenario import SCENARIOS, Outcome, Scenario, run

SEEDS = 150


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_track_is_lost_and_none_is_wrong(scenario: Scenario) -> None:
    first = 1000 * todays_seed()
    print(f"\nseeds {first} to {first + SEEDS - 1} of {scenario}")
    verdict = Verdict(tried=0)
    complaints: list[str] = []
    for seed in range(first, first + SEEDS):
        outcome = run(seed, scenario)
        verdict += outcome.verdict
        if outcome.complaints:
            complaints.append(
                f"{outcome.complaints[0]}\n"
                f"  replay: python -m tests.simulation --scenario {scenario} --seed {seed} --trace"
            )
    fault_table.add(f"simulation: {scenario.replace('-', ' ')}", verdict)
    assert not complaints, "\n".join(complaints)
    assert verdict.clean
    assert verdict.tried == SEEDS


@pytest.mark.parametrize("seed", [816, 1376])
def test_requests_that_cvat_takes_back_after_a_time_do_not_take_turns_in_losing_each_other(seed: int) -> None:
    """Seeds in which they once did: several were in hand, and all were handed out anew, under new ids."""
    assert not run(seed, "everything").complaints


def shown(seed: int, scenario: Scenario) -> tuple[Outcome, str]:
    text = io.StringIO()
    return run(seed, scenario, text), text.getvalue()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_seed_decides_everything(scenario: Scenario) -> None:
    for seed in (3, 7):
        once, again = run(seed, scenario), run(seed, scenario)
        assert once.trace.digest() == again.trace.digest()
        assert once.trace.digest() != run(seed + 1, scenario).trace.digest()


def test_another_process_with_other_hashes_plays_the_same() -> None:
    code = (
        "from tests.simulation.scenario import SCENARIOS, run\n"
        "for scenario in SCENARIOS:\n"
        "    for seed in (11, 12): print(run(seed, scenario).trace.digest())"
    )
    here = [run(seed, scenario).trace.digest() for scenario in SCENARIOS for seed in (11, 12)]
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2",
        "PYTHONPATH": os.pathsep.join(str(root / part) for part in ("operator", "agent", "")),
    }
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.split() == here


def test_a_trace_tells_what_happened() -> None:
    _, text = shown(5, "two-at-once")
    for words in ("TAKE lease epoch", "acquire", "PUBLISH lease answer:", "complete ar-1", "PAUSED", "CALM"):
        assert words in text
