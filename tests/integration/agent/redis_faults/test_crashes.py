"""Redis is killed, loses what it had, or is emptied: the annotator waits a little and gets the same masks."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_agent.core.patience import Patience
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World
from tests.integration.agent.faults import COMPLETE, FRAME, Laborious, at, sentence_of, undisturbed
from tests.integration.agent.redis_faults.disturbance import PATIENT, RESTORING, amid, require_clean
from tests.redis_server import RedisServer
from tests.toy_tracker import ToyTracker

STOP = 5
EVERYTHING = 10_000


def crash(server: RedisServer, lost: int) -> None:
    """Kill Redis, lose its last commands, and start it again."""
    server.kill()
    server.forget_last(lost)
    server.start()


@pytest.mark.parametrize("lost", [0, 1, 4, EVERYTHING])
@pytest.mark.parametrize("route", [FRAME, COMPLETE], ids=["before the frame", "before the completion"])
def test_killed_in_the_middle_of_a_request_with_the_last_second_lost(
    world: World, caplog: pytest.LogCaptureFixture, route: str, lost: int
) -> None:
    expected = undisturbed(world, stop=STOP)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    with amid(world, route, lambda: crash(world.redis, lost), skip=3):
        got = world.track(stop=STOP)
    require_clean(world, "Redis killed, last second lost", expected, got)
    if lost == EVERYTHING:
        agent.wait_for(lambda: "The lease was lost" in caplog.text or "left to the lease" in caplog.text)
    agent.wait_for(lambda: agent.status.report().ready)


@pytest.mark.parametrize("lost", [3, EVERYTHING])
def test_killed_between_two_requests_and_the_agent_replaced(world: World, lost: int) -> None:
    first = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=STOP)

    def crash_both() -> None:
        first.stop()
        crash(world.redis, lost)
        world.new_toy(patience=PATIENT).start()

    require_clean(
        world,
        "Redis killed, last second lost",
        expected,
        world.track(at(3, crash_both), stop=STOP),
    )


def test_flushed_in_the_middle_of_a_request(world: World) -> None:
    expected = undisturbed(world, stop=STOP)
    world.new_toy(patience=PATIENT).start().wait_ready()
    with world.redis.client() as client, amid(world, FRAME, client.flushall, skip=3):
        got = world.track(stop=STOP)
    require_clean(world, "Redis flushed", expected, got)


def test_a_long_track_is_restored_from_its_state_alone_publishing_as_it_goes(world: World) -> None:
    """More than a hundred steps, back and forth over the task's frames; then Redis and the agent are new."""
    first = world.new_toy(patience=PATIENT).start().wait_ready()
    answer: dict[str, Any] = {"states": world.begin()}
    frames = [*range(1, 24), *range(22, -1, -1)] * 3
    for frame in frames[:110]:
        answer = world.run(type="track", frame=frame, states=answer["states"])
    last: dict[str, Any] = {"type": "track", "frame": frames[110], "states": answer["states"]}
    expected = world.run(**last)
    first.stop()
    with world.redis.client() as client:
        client.flushall()

    tracker = ToyTracker()
    patience = Patience(lease=600.0, poll=0.5, restore=30.0)
    hurried = world.new_toy(tracker=tracker, clock=Laborious(tracker), patience=patience).start()
    hurried.wait_ready()
    complaints = []
    while sentence := sentence_of(world, **last):
        complaints.append(sentence)
        assert len(complaints) < 100
    assert complaints
    assert set(complaints) == {RESTORING}
    assert world.run(**last) == expected
    assert tracker.steps in (3 * 112, 3 * 113), "a retried request goes on where the last one was given up"
    assert hurried.metric("steps_restored_total") >= 3 * 111
    require_clean(world, "Redis flushed", [expected["shapes"]], [world.run(**last)["shapes"]])


@pytest.mark.slow
def test_the_small_model_loses_nothing_either(world: World) -> None:
    first, agent = world.new_agent(), world.new_agent()
    first.start()
    first.wait_ready()
    expected = world.track(stop=STOP)
    first.kill()
    agent.start()
    agent.wait_ready()

    def empty() -> None:
        with world.redis.client() as client:
            client.flushall()

    with amid(world, FRAME, empty, skip=2), amid(world, COMPLETE, lambda: crash(world.redis, 4), skip=5):
        got = world.track(stop=STOP)
    require_clean(world, "Redis flushed, then killed (small model)", expected, got)


def test_a_request_left_to_another_holder_outlives_its_record(world: World) -> None:
    """The lease and then the record are lost, and the other holder is gone: the first agent ends it."""
    expected = undisturbed(world, stop=STOP)
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    lease, requests = f"{PREFIX}lease", f"{PREFIX}requests"

    def lose_all() -> None:
        with world.redis.client() as client:
            client.delete(requests)
            client.set(lease, "f" * 32 + "pod-b", px=60_000)
        world.meanwhile(lose_record)

    def lose_record() -> None:
        with world.redis.client() as client:
            agent.wait_for(lambda: client.hlen(requests) == 1)
            agent.wait_for(lambda: not agent.status.lease_held())
            client.delete(requests, lease)

    with amid(world, FRAME, lose_all):
        got = world.track(stop=STOP)
    require_clean(world, "lease and requests lost", expected, got)
