"""Requests recorded in Redis: a successor, or whoever holds the lease, finishes them."""

from __future__ import annotations

from collections.abc import Callable

from sam2_agent.core.requests import Assignment, Recorded
from tests.cvat_standin.control_models import RequestRecord
from tests.cvat_standin.fault_control import ArmedFault
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, drawn_shapes
from tests.integration.agent.faults import (
    ACQUIRE,
    keys,
)
from tests.integration.cvat_standin.caller import Agent, Caller


def test_a_request_that_reaches_an_agent_without_the_lease_is_finished_by_the_holder(world: World) -> None:
    late = world.new_toy(holder="pod-a").start().wait_ready()
    states = world.begin()
    late.wait_for(lambda: late.tracker.steps == 6)  # and what is foreseen
    nothing_yet = world.cvat.faults.stall(ACQUIRE, when="after")
    late.wait_for(was_taken(nothing_yet))
    request = world.cvat.submit(
        world.function, {"type": "track", "task": world.task, "frame": 1, "states": states}, "ann"
    )
    while world.cvat.request(request.key).status != "started":  # the calls for the other category go by
        handed_out = world.cvat.faults.stall(ACQUIRE, when="after")
        world.cvat.faults.release()
        late.wait_for(was_taken(handed_out))
    with world.redis.client() as client:
        client.set(f"{PREFIX}lease", "f" * 32 + "pod-b", px=60_000)
    holder = world.new_toy(holder="pod-b").start().wait_ready()
    late.wait_for(lambda: not late.status.lease_held())
    world.cvat.faults.release()

    assert world.cvat.wait_for_request(world.function, "finished").key == request.key
    assert late.tracker.steps == 6
    assert holder.tracker.steps in (3, 6)
    holder.wait_for(lambda: not keys(world, "requests"))


def test_a_successor_finishes_what_its_predecessor_had_in_hand(world: World) -> None:
    request = in_the_hands_of_an_agent_that_died(world, attempts=4)
    agent = world.new_toy().start()
    assert world.cvat.wait_for_request(world.function, "finished").key == request.key
    agent.wait_for(lambda: not keys(world, "requests"))


def test_a_request_that_kills_agents_is_given_up(world: World) -> None:
    request = in_the_hands_of_an_agent_that_died(world, attempts=5)
    agent = world.new_toy().start()
    failed = world.cvat.wait_for_request(world.function, "failed")
    assert failed.key == request.key
    assert failed.exc_info == "The tracking agent stopped 5 times during this request; it gave up."
    agent.wait_for(lambda: not keys(world, "requests"))


def in_the_hands_of_an_agent_that_died(world: World, attempts: int) -> RequestRecord:
    """A request that CVAT handed out and that is recorded in Redis, but whose agent is gone."""
    shapes = [shape.to_json() for shape in drawn_shapes()]
    parameters = {"type": "init_tracking", "task": world.task, "frame": 0, "shapes": shapes}
    request = world.cvat.submit(world.function, parameters, "ann")
    Agent(Caller(world.cvat.url, world.robot.token), world.function, "s2t_test").acquire()
    assignment = Assignment(ar_id=request.id, ar_params=request.params)
    with world.redis.client() as client:
        client.hset(
            f"{PREFIX}requests", request.id, Recorded(assignment=assignment, attempts=attempts).dump()
        )
    return request


def test_what_cannot_be_read_in_the_inbox_is_dropped_and_counted(world: World) -> None:
    with world.redis.client() as client:
        client.hset(f"{PREFIX}requests", "request", b"nonsense")
    agent = world.new_toy().start().wait_ready()
    agent.wait_for(lambda: agent.metric("records_damaged_total", kind="request") == 1)
    assert world.begin()
    agent.wait_for(lambda: not keys(world, "requests"))  # forgotten after the answer


def was_taken(fault: ArmedFault) -> Callable[[], bool]:
    return lambda: fault.taken() == 1
