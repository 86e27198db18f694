"""A request that takes long is not thereby late: patience is counted from the first trouble.

A large request may take a small machine minutes.  Here a clock jumps while a frame is fetched.
"""

from __future__ import annotations

from sam2_agent.adapters.clock import BootClock
from sam2_agent.core.patience import Patience
from tests.cvat_standin.control_models import RequestRecord
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import COMPLETE, FRAME, ask_to_begin, keys, status_of
from tests.integration.agent.in_process import InProcessAgent

PATIENCE = Patience(lease=6000.0, poll=1.0, request=120.0)


class JumpingClock(BootClock):
    """Real time, and what a test adds to it."""

    def __init__(self) -> None:
        self.jumped = 0.0

    def now(self) -> float:
        return super().now() + self.jumped


def slow_request(world: World, agent: InProcessAgent, clock: JumpingClock, seconds: float) -> RequestRecord:
    """Ask for tracks and let that take so many seconds until the frame is fetched; return the request."""
    stall = world.cvat.faults.stall(FRAME)
    asked = ask_to_begin(world)
    agent.wait_for(lambda: stall.taken() == 1 and bool(keys(world, "requests")))
    clock.jumped += seconds
    return asked


def test_redis_failing_once_late_in_a_request_is_not_told(world: World) -> None:
    clock = JumpingClock()
    agent = world.new_toy(clock=clock, patience=PATIENCE).start().wait_ready()
    slow = slow_request(world, agent, clock, 2 * PATIENCE.request)
    world.redis.kill()
    world.cvat.faults.release()
    agent.wait_for(lambda: agent.metric("unavailable_total", reason="RedisUnreachable") > 0)
    world.redis.start()
    agent.wait_for(lambda: status_of(world, slow) != "started")
    assert status_of(world, slow) == "finished", world.cvat.request(slow.key).exc_info


def test_an_answer_that_took_long_is_told_again_at_once_where_cvat_failed_once(world: World) -> None:
    clock = JumpingClock()
    agent = world.new_toy(clock=clock, patience=PATIENCE).start().wait_ready()
    slow = slow_request(world, agent, clock, 60.0)
    world.cvat.faults.status(COMPLETE, 503)
    world.cvat.faults.release()
    agent.wait_for(lambda: status_of(world, slow) == "finished")
