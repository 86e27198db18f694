"""The operator is killed, cut off, or overtaken at any of its calls: one function, no orphan, no stranger's.

A sample of the points, another every day; `python -m tests.controlplane.crashpoints` tries them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.controlplane import situations
from tests.controlplane.crashpoints.bench import Bench, bench
from tests.controlplane.crashpoints.trial import all_points, sample, try_and_judge
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.samples import todays_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sam2_operator.adapters.kube.api import KubeApi
    from tests.controlplane.agents import SpeakingAgent
    from tests.cvat_standin.client import CVAT
    from tests.redis_server import RedisServer

pytestmark = [pytest.mark.controlplane, pytest.mark.slow, pytest.mark.timeout(900)]

POINTS = 48
SEED = todays_seed()


@pytest.fixture
def standing(
    api: KubeApi, cvat: CVAT, acl_redis: RedisServer, agent: Callable[[], SpeakingAgent]
) -> Iterator[Bench]:
    with bench(api, cvat, acl_redis, ADMIN_PASSWORD, agent()) as running:
        yield running


def test_cut_off_anywhere_it_converges(standing: Bench) -> None:
    told = []
    for point in sample(all_points(standing), POINTS, SEED):
        situation, outcomes, flaws = try_and_judge(standing, point)
        situations.add(situation, outcomes)
        if flaws:
            told.append(flaws)
    assert not told, f"seed {SEED}:\n" + "\n".join(told)
