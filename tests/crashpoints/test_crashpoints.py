"""Some points and seeds of `python -m tests.crashpoints`, others each day; they are printed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crashpoints import crash, two_at_once
from tests.crashpoints.__main__ import COMMAND
from tests.crashpoints.crash import Outcome
from tests.crashpoints.crew import Crew
from tests.crashpoints.points import Call, Point, sample
from tests.samples import SEED_VARIABLE, todays_seed

POINTS = 8
HURRIED = 4
SEEDS = 2
REPEAT_TWO = "two-at-once --seed"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(2, COMMAND) as made:
        yield made


@pytest.fixture(scope="module")
def seed() -> int:
    return todays_seed()


def test_killed_anywhere_the_annotator_is_told_the_same(
    crew: Crew, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = sample(crew.points, POINTS, seed)
    with capsys.disabled():
        print(f"\n{SEED_VARIABLE}={seed}: {POINTS} of {len(crew.points)} points")
        for point in chosen:
            print(f"  {point} ({crash.Variant.of(point)})")
    outcomes = crew.outcomes(crash.KIND, chosen, crash.kill_at, "--point")
    assert not unclean(outcomes)


def test_killed_in_a_hurried_session_the_annotator_is_told_the_same(crew: Crew, seed: int) -> None:
    seeds = [str(seed + number) for number in range(HURRIED)]
    outcomes = crew.outcomes(crash.KIND_HURRIED, seeds, crash.kill_hurried, "hurried --seed")
    assert not unclean(outcomes)


def test_an_agent_that_slept_past_its_lease_changes_nothing(
    crew: Crew, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [str(seed + number) for number in range(SEEDS)]
    with capsys.disabled():
        print(f"\n{SEED_VARIABLE}={seed}: two at once with seeds {seeds}")
    outcomes = crew.outcomes(two_at_once.KIND, seeds, two_at_once.pause, REPEAT_TWO)
    assert not unclean(outcomes)


@pytest.mark.parametrize("name", two_at_once.DIRECTED)
def test_while_another_agent_serves(crew: Crew, name: str) -> None:
    outcomes = crew.outcomes(two_at_once.KIND, [name], two_at_once.pause, REPEAT_TWO)
    assert not unclean(outcomes)


def test_a_point_that_is_not_met_is_a_failure(crew: Crew) -> None:
    never = Point(Call("1", "GET /nowhere", 1), "before")
    outcome = crash.kill_at(crew.stage, never, crew.undisturbed[0], tries=1)
    assert outcome.complaints == ("the point was not met in 1 runs",)
    assert not outcome.clean


def unclean(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.clean]
