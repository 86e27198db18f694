"""CVAT does what it is asked and nobody hears of it, or hands work out twice: the answers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from tests.cvat_standin.annotator import Annotator, RunError
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.fault_control import ArmedFault
from tests.integration.agent.conftest import World, drawn_shapes
from tests.integration.agent.faults import (
    ACQUIRE,
    COMPLETE,
    FAIL,
    FRAME,
    META,
    PATIENT,
    ask_to_begin,
    at,
    judged,
    keys,
    meanwhile,
    some,
    status_of,
    undisturbed,
)
from tests.integration.cvat_standin.caller import Agent, Caller


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("reply lost: complete", lambda cvat: cvat.faults.drop_reply(COMPLETE, skip=2)),
        ("reply lost: complete", lambda cvat: cvat.faults.drop_reply(COMPLETE, skip=2, times=3)),
        ("reply lost: complete", lambda cvat: cvat.faults.status(COMPLETE, 502, when="after", times=2)),
        ("reply lost: complete", lambda cvat: cvat.faults.ingress(COMPLETE, 504, when="after", times=2)),
        ("reply lost: frame", lambda cvat: cvat.faults.drop_reply(FRAME, skip=2, times=2)),
        ("reply truncated: frame", lambda cvat: cvat.faults.truncate_reply(FRAME, skip=2, times=2)),
        ("reply truncated: frame count", lambda cvat: cvat.faults.truncate_reply(META, skip=1, times=2)),
        ("request lost: complete", lambda cvat: cvat.faults.drop_request(COMPLETE, skip=2, times=3)),
        ("request lost: acquire", lambda cvat: cvat.faults.drop_request(ACQUIRE, skip=2, times=3)),
    ],
)
def test_what_is_lost_between_cvat_and_the_agent_only_costs_time(
    world: World, kind: str, spoil: Callable[[CVAT], ArmedFault]
) -> None:
    expected = undisturbed(world, stop=6)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    fault = spoil(world.cvat)
    assert judged(kind, world, expected, world.track(stop=6))
    assert fault.taken()
    assert agent.metric("steps_computed_total") in (3 * 7, 3 * 8), "no step twice, maybe one ahead"
    agent.wait_for(lambda: not keys(world, "requests"))


@pytest.mark.parametrize(
    ("how", "times", "new_id"),
    some(
        [
            ("drop_reply", 4, False),
            ("truncate_reply", 1, True),
            *product(["drop_reply", "truncate_reply"], [1, 2, 6], [False, True]),
        ],
        2,
    ),
)
def test_an_acquired_request_whose_reply_was_lost_is_handed_out_again(
    world: World, how: str, times: int, new_id: bool
) -> None:
    expected = undisturbed(world, stop=4)
    world.cvat.set_redelivery(to_same_agent=True, new_id=new_id)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    fault = getattr(world.cvat.faults, how)(ACQUIRE, times=None)

    def clear_when_lost() -> None:
        agent.wait_for(
            lambda: any(record.handed_out >= times for record in world.cvat.requests(world.function))
        )
        fault.clear()

    world.meanwhile(clear_when_lost)
    assert judged("reply lost: acquire", world, expected, world.track(stop=4))
    assert max(record.handed_out for record in world.cvat.requests(world.function)) > times


def test_where_a_lost_request_never_comes_again_that_one_call_fails(world: World) -> None:
    expected = undisturbed(world, stop=4)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    lost = world.cvat.faults.drop_reply(
        ACQUIRE, times=2
    )  # one for each category: one of them has the request
    with (
        Annotator(world.cvat.url, world.ann.username, world.ann.password, call_seconds=1.0) as impatient,
        pytest.raises(RunError),
    ):
        impatient.track(world.function, world.task, drawn_shapes(), start=0, stop=4)
    agent.wait_for(lambda: lost.taken() == 2)
    lost.clear()
    [stranded] = world.cvat.requests(world.function)[-1:]
    assert judged("reply lost: acquire", world, expected, world.track(stop=4))
    assert (status_of(world, stranded), stranded.handed_out) == ("started", 1)
    assert sum(record.status != "finished" for record in world.cvat.requests()) == 1


@pytest.mark.parametrize("times", some([2, 1, 4], 1))
def test_a_failure_whose_reply_was_lost_is_told_once(world: World, times: int) -> None:
    expected = undisturbed(world, stop=4)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    world.cvat.faults.drop_reply(FAIL, times=times)
    request = ask_to_begin(world, frame=999)
    failed = world.cvat.wait_for_request(world.function, "failed")
    assert failed.key == request.key
    assert failed.exc_info == "Task 1 has no frame 999; its last is 23."
    agent.wait_for(lambda: not keys(world, "requests"))
    assert judged("reply lost: fail", world, expected, world.track(stop=4))


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("frame", [0, 3])
def test_a_request_that_is_handed_out_twice(world: World, new_id: bool, frame: int) -> None:
    expected = undisturbed(world, stop=6)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    stall = world.cvat.faults.stall(COMPLETE, skip=frame)

    def hand_out_again() -> None:
        agent.wait_for(lambda: stall.taken() == 1)
        held = world.cvat.wait_for_request(world.function, "started")
        world.cvat.put_back(held.id, new_id=new_id)
        world.cvat.faults.release()

    with meanwhile(hand_out_again):
        assert judged("handed out twice", world, expected, world.track(stop=6))
    assert agent.metric("answers_reused_total") >= (3 if frame and new_id else 0)
    assert {record.handed_out for record in world.cvat.requests()} == {1, 2}


def test_an_init_that_is_handed_out_twice_has_the_same_states(world: World) -> None:
    world.cvat.set_redelivery(to_same_agent=True)
    world.new_toy().start().wait_ready()
    world.cvat.faults.drop_request(COMPLETE, times=2)
    states = world.begin()
    assert len(keys(world, "init:*")) == 1
    assert len(keys(world, "answer:*")) == len(states) == 3


def test_a_request_repeated_by_the_annotator_moves_nothing(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    states = world.begin()
    once = world.run(type="track", frame=1, states=states)
    agent.wait_for(lambda: agent.tracker.steps == 3 * 3)  # and what is foreseen
    assert world.run(type="track", frame=1, states=states) == once
    assert agent.tracker.steps == 3 * 3
    further = world.run(type="track", frame=2, states=once["states"])
    assert world.run(type="track", frame=1, states=states) == once
    assert world.run(type="track", frame=2, states=once["states"]) == further


@pytest.mark.parametrize("status", some([404, 403, 409, 410], 1))
def test_a_request_that_is_taken_away_while_we_compute(world: World, status: int) -> None:
    expected = undisturbed(world, stop=4)
    world.cvat.set_redelivery(refusal_status=status)
    stall = world.cvat.faults.stall(FRAME)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    request = ask_to_begin(world, frame=5)
    agent.wait_for(lambda: stall.taken() == 1)
    answered = world.cvat.count(COMPLETE)
    world.cvat.set_streams(announce=False)
    other = Agent(Caller(world.cvat.url, world.robot.token), world.function, "another_agent")
    world.cvat.put_back(request.id)
    while not other.acquire():  # the agent, which still looked for more, was there first
        world.cvat.put_back(request.id)
    world.cvat.faults.release()
    agent.wait_for(
        lambda: agent.metric("request_seconds_count", type="init_tracking", outcome="not_ours") >= 1
    )
    agent.wait_for(lambda: not keys(world, "requests"))
    assert status_of(world, request) == "started"
    assert world.cvat.count(COMPLETE) > answered
    world.cvat.set_streams()
    assert judged("request taken away", world, expected, world.track(stop=4))


def test_event_streams_only_save_time(world: World) -> None:
    expected = undisturbed(world, stop=4)
    world.new_toy(patience=PATIENT).start().wait_ready()
    world.cvat.wait_for_watchers(world.function)
    cut = at(1, lambda: world.cvat.cut_streams(world.function, abrupt=True))
    assert judged("event stream cut", world, expected, world.track(cut, stop=4))
