"""Some points and seeds of `python -m tests.crashpoints --door`, others each day; they are printed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crashpoints import crash, two_at_once
from tests.crashpoints.__main__ import COMMAND
from tests.crashpoints.crew import Crew
from tests.crashpoints.door import DoorStage
from tests.crashpoints.points import sample
from tests.samples import SEED_VARIABLE, todays_seed

POINTS = 10
SEEDS = 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(2, f"{COMMAND} --door", DoorStage) as made:
        yield made


def test_killed_anywhere_the_caller_is_told_the_same(crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    seed = todays_seed()
    chosen = sample(crew.points, POINTS, seed)
    with capsys.disabled():
        print(f"\n{SEED_VARIABLE}={seed}: {POINTS} of {len(crew.points)} points")
        for point in chosen:
            print(f"  {point} ({crash.Variant.of(point)})")
    outcomes = crew.outcomes(f"serverless: {crash.KIND}", chosen, crash.kill_at, "--point")
    assert all(outcome.clean for outcome in outcomes)


def test_one_that_slept_past_its_lease_changes_nothing(
    crew: Crew, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [str(todays_seed() + number) for number in range(SEEDS)]
    with capsys.disabled():
        print(f"\n{SEED_VARIABLE}={todays_seed()}: two at once with seeds {seeds}")
    kind = f"serverless: {two_at_once.KIND}"
    outcomes = crew.outcomes(kind, seeds, two_at_once.pause, "two-at-once --seed")
    assert all(outcome.clean for outcome in outcomes)
