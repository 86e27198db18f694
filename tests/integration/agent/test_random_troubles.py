"""Troubles with CVAT at random moments, several in one track: the annotator notices nothing but time.

The day's, or many (`tests/samples.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from sam2_agent.core.patience import Patience
from tests.cvat_standin.fault_control import FaultControl
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import (
    ACQUIRE,
    COMPLETE,
    FRAME,
    WATCH,
    HurriedClock,
    at,
    judged,
    keys,
    undisturbed,
)
from tests.samples import FULL, SEED_VARIABLE, todays_seed

STOP = 8
SEEDS = [*range(60), todays_seed()] if FULL else [todays_seed()]
PATIENCE = Patience(lease=600.0, poll=10.0, request=3000.0)

_KINDS: list[Callable[[FaultControl, str, int, int], object]] = [
    lambda faults, route, skip, times: faults.drop_reply(route, skip=skip, times=times),
    lambda faults, route, skip, times: faults.drop_request(route, skip=skip, times=times),
    lambda faults, route, skip, times: faults.truncate_reply(route, skip=skip, times=times),
    lambda faults, route, skip, times: faults.status(route, 500, skip=skip, times=times),
    lambda faults, route, skip, times: faults.status(route, 503, skip=skip, times=times, when="after"),
    lambda faults, route, skip, times: faults.status(route, 429, skip=skip, times=times, retry_after="5"),
    lambda faults, route, skip, times: faults.ingress(route, 403, skip=skip, times=times),
    lambda faults, route, skip, times: faults.ingress(route, 504, skip=skip, times=times, when="after"),
    lambda faults, route, skip, times: faults.redirect(route, "https://x/", skip=skip, times=times),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_troubles_at_random_moments(world: World, seed: int) -> None:
    print(f"{SEED_VARIABLE}={seed}")
    rng = Random(seed)
    expected = undisturbed(world, stop=STOP)
    new_id = rng.random() < 0.5
    world.cvat.set_redelivery(to_same_agent=True, new_id=new_id)
    agent = world.new_toy(clock=HurriedClock(60.0), patience=PATIENCE).start().wait_ready()
    for _ in range(rng.randint(2, 6)):
        route = rng.choice([ACQUIRE, COMPLETE, FRAME, WATCH])
        rng.choice(_KINDS)(world.cvat.faults, route, rng.randrange(10), rng.randint(1, 4))
    cut = at(rng.randrange(STOP), lambda: world.cvat.cut_streams(world.function, abrupt=True))
    assert judged("CVAT: several troubles at random", world, expected, world.track(cut, stop=STOP))
    agent.wait_for(lambda: not keys(world, "requests"))
    if not new_id:  # an init under another id begins other tracks
        assert agent.tracker.steps in (3 * (STOP + 1), 3 * (STOP + 2))
