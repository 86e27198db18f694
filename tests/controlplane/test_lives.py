"""Whole operators, watches and all, are killed while a tracker lives: one function, no orphan, no stranger's.

A few lives, others every day; all of them with `SAM2_TEST_FULL=1`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.crashpoints.bench import Bench, bench
from tests.controlplane.crashpoints.lives import PARTS, play
from tests.controlplane.situations import Outcomes
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.samples import FULL, todays_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.agents import SpeakingAgent
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(1800)]

LIVES = 25 if FULL else 1
FIRST = todays_seed()
SITUATIONS = (("killed", 1), ("two at once, killed", 2))
CHOSEN = SITUATIONS if FULL else (SITUATIONS[FIRST % 2],)


@pytest.fixture
def standing(
    api: KubeApi, cvat: CVAT, acl_redis: RedisServer, agent: Callable[[], SpeakingAgent]
) -> Iterator[Bench]:
    with bench(api, cvat, acl_redis, ADMIN_PASSWORD, agent()) as running:
        yield running


@pytest.mark.parametrize(("situation", "operators"), CHOSEN)
def test_a_tracker_lives_and_ends_whoever_is_killed(
    standing: Bench, tmp_path: Path, situation: str, operators: int
) -> None:
    told, kills = [], 0
    for seed in range(FIRST, FIRST + LIVES):
        flaws, killed = play(standing, tmp_path, seed, operators=operators)
        kills += killed
        for part, wrong in flaws.items():
            kinds = {flaw.kind for flaw in wrong}
            outcomes = {kind: int(kind in kinds) for kind in ("duplicates", "orphans", "hangs")}
            situations.add(
                f"whole operator: {part}, {situation}", Outcomes(converged=int(not wrong), **outcomes)
            )
            told += [f"seed {seed}: {part}: {flaw.kind}: {flaw.what}" for flaw in wrong]
        assert told or list(flaws) == [part for part, _ in PARTS]
    assert not told, "\n".join(told)
    assert kills >= LIVES, "the operators were hardly killed"
