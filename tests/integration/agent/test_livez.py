"""Alive is an agent whose loop comes round, however long it legitimately waits, and no other.

Time is hurried: the five minutes after which an agent counts as stuck pass in six seconds.
"""

from __future__ import annotations

from sam2_agent.core.patience import Patience
from sam2_agent.core.status import STUCK_SECONDS
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import ACQUIRE, HurriedClock, ask_to_begin, judged, status_of, undisturbed
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.agent.sticky_tracker import StickyTracker

SPEED = 50.0
PATIENCE = Patience(lease=3000.0, poll=10.0, request=3000.0)


def stays_alive(agent: InProcessAgent) -> bool:
    """Whether the agent counts as alive at every moment of a time in which one that is stuck is found out."""
    until = agent.clock.now() + 1.2 * STUCK_SECONDS
    alive = True

    def over() -> bool:
        nonlocal alive
        alive = alive and agent.status.alive()
        return agent.clock.now() > until

    agent.wait_for(over)
    return alive


def test_an_agent_that_cvat_asks_to_wait_is_alive(world: World) -> None:
    agent = world.new_toy(clock=HurriedClock(SPEED), patience=PATIENCE).start().wait_ready()
    limited = world.cvat.faults.status(ACQUIRE, 429, retry_after="86400", times=None)
    agent.wait_for(lambda: limited.taken() == 1)
    assert stays_alive(agent)
    assert limited.taken() <= 5  # two minutes at most each


def test_an_agent_whose_redis_is_away_for_minutes_is_alive_and_goes_on(world: World) -> None:
    expected = undisturbed(world, stop=3)
    agent = world.new_toy(clock=HurriedClock(SPEED), patience=PATIENCE).start().wait_ready()
    request = ask_to_begin(world)
    world.redis.kill()
    assert stays_alive(agent)
    assert agent.status.report().reason == "RedisUnreachable"
    world.redis.start()
    agent.wait_for(lambda: status_of(world, request) == "finished")
    assert judged("Redis away for six minutes", world, expected, world.track(stop=3))


def test_an_agent_that_waits_for_the_lease_is_alive(world: World) -> None:
    holder = world.new_toy(holder="pod-a", patience=Patience(lease=300.0)).start().wait_ready()
    agent = world.new_toy(holder="pod-b", clock=HurriedClock(SPEED), patience=PATIENCE).start()
    assert stays_alive(agent)
    assert agent.status.report().reason == "WaitingForLease"
    holder.stop()


def test_an_agent_whose_model_hangs_is_found_out(world: World) -> None:
    tracker = StickyTracker()
    agent = world.new_toy(clock=HurriedClock(SPEED), patience=PATIENCE, tracker=tracker).start().wait_ready()
    tracker.let_go.clear()
    request = ask_to_begin(world)
    agent.wait_for(lambda: status_of(world, request) == "started")
    agent.wait_for(lambda: not agent.status.alive())
    tracker.let_go.set()
    agent.wait_for(lambda: status_of(world, request) == "finished")
    agent.wait_for(agent.status.alive)
