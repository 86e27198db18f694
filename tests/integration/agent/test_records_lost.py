"""What Redis lost, damaged or cannot take now is computed again: the annotator gets the same answers."""

from __future__ import annotations

from typing import Any

import pytest

from sam2_agent.core import state
from sam2_agent.core.patience import Patience
from sam2_agent.core.state import Steps
from tests import fault_table
from tests.cvat_standin.annotator import RunError
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import LENGTH, World, drawn_shapes
from tests.integration.agent.faults import (
    FRAME,
    PATIENT,
    Laborious,
    at,
    judged,
    keys,
    meanwhile,
    sentence_of,
    undisturbed,
)
from tests.toy_tracker import ToyTracker


@pytest.mark.parametrize("lost", ["memory:*", "answer:*", "*"])
def test_a_successor_computes_again_what_redis_lost(world: World, lost: str) -> None:
    first = world.new_toy().start().wait_ready()
    expected = undisturbed(world, stop=LENGTH - 1)

    def replace() -> None:
        first.stop()
        delete(world, lost)
        world.new_toy().start()

    assert judged(f"agent replaced, Redis lost {lost}", world, expected, world.track(at(14, replace)))


def test_redis_flushed_under_a_running_agent(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    expected = undisturbed(world, stop=LENGTH - 1)
    with world.redis.client() as client:
        assert judged("Redis flushed in mid-track", world, expected, world.track(at(14, client.flushall)))
    agent.wait_for(lambda: agent.status.report().ready)


@pytest.mark.parametrize("pattern", ["memory:*", "answer:*"])
def test_damaged_records_are_counted_and_healed(world: World, pattern: str) -> None:
    first = world.new_toy().start().wait_ready()
    expected = undisturbed(world, stop=LENGTH - 1)
    agents = [first]

    def replace() -> None:
        first.stop()
        overwrite(world, pattern)
        agents.append(world.new_toy().start())

    assert judged(f"agent replaced, damaged {pattern}", world, expected, world.track(at(14, replace)))
    assert agents[1].metric("records_damaged_total", kind=pattern.removesuffix(":*")) > 0


def test_redis_away_and_back(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=5)

    def restart() -> None:
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="RedisUnreachable") > 2)
        world.redis.start()

    with meanwhile(restart):
        got = world.track(at(2, world.redis.kill), stop=5)
    assert judged("Redis killed and restarted", world, expected, got)


@pytest.mark.parametrize("seconds", [0.5, 3.0], ids=["lease still held", "lease expired"])
def test_redis_away_too_long_is_told_to_the_annotator(world: World, seconds: float) -> None:
    agent = world.new_toy(patience=Patience(lease=1.0, poll=0.5, request=seconds)).start().wait_ready()
    states = world.begin()
    again: dict[str, Any] = {"type": "track", "frame": 9, "states": states}
    agent.wait_for(lambda: world.cvat.count(FRAME) == 3)  # those after the first are fetched ahead
    stall = world.cvat.faults.stall(FRAME)

    def go_away() -> None:
        agent.wait_for(lambda: stall.taken() == 1)
        world.redis.kill()
        world.cvat.faults.release()

    with (
        meanwhile(go_away),
        pytest.raises(RunError, match="cannot reach its store now; run the action again"),
    ):
        world.run(**again)
    world.redis.start()
    assert world.run(**again)["shapes"]


def test_a_long_restoration_is_told_to_the_annotator_and_goes_on_next_time(world: World) -> None:
    first = world.new_toy().start().wait_ready()
    answer: dict[str, Any] = {"states": world.begin()}
    for frame in range(1, 15):
        answer = world.run(type="track", frame=frame, states=answer["states"])
    first.stop()
    delete(world, "memory:*")
    tracker = ToyTracker()
    patience = Patience(lease=600.0, poll=1.0, restore=4.0)
    world.new_toy(tracker=tracker, clock=Laborious(tracker), patience=patience).start().wait_ready()
    refused: list[str] = []
    while (sentence := sentence_of(world, type="track", frame=15, states=answer["states"])) and len(
        refused
    ) < 40:
        refused.append(sentence)
    assert set(refused) == {"The agent is restoring this track, which takes a while; run the action again."}
    assert tracker.steps in (3 * 16, 3 * 17), "no step twice, maybe one ahead"


def test_one_object_lacks_its_prompt_on_the_frame_of_anothers_lost_step(world: World) -> None:
    """The younger track began on the frame that the older one has to be restored from."""
    first = world.new_toy().start().wait_ready()
    shape = drawn_shapes()[0].to_json()
    older: list[str] = world.run(type="init_tracking", frame=0, shapes=[shape])["states"]
    for frame in range(1, 6):
        older = world.run(type="track", frame=frame, states=older)["states"]
    states = [*older, *world.run(type="init_tracking", frame=5, shapes=[shape])["states"]]
    for frame in (6, 7):
        states = world.run(type="track", frame=frame, states=states)["states"]
    expected = world.run(type="track", frame=8, states=states)
    first.stop()
    with world.redis.client() as client:
        for text, lost in zip(expected["states"], (range(5, 9), range(4)), strict=True):
            steps = Steps(state.parse(text), "toy")
            for kind in ("memory", "answer"):
                assert client.delete(*(f"{PREFIX}{kind}:{steps.name(step)}" for step in lost))
    world.new_toy().start()
    got = world.run(type="track", frame=8, states=states)
    verdict = fault_table.judge([expected["shapes"]], [got["shapes"]])
    assert fault_table.add("agent replaced, Redis lost a part", verdict).clean


def test_memory_in_redis_does_not_grow_with_the_track(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    world.track(stop=23)
    agent.stop()
    assert len(keys(world, "memory:*")) <= 3 * 9


def delete(world: World, pattern: str) -> None:
    with world.redis.client() as client:
        for key in client.scan_iter(f"{PREFIX}{pattern}"):
            client.delete(key)


def overwrite(world: World, pattern: str) -> None:
    with world.redis.client() as client:
        for key in client.scan_iter(f"{PREFIX}{pattern}"):
            value = bytearray(client.get(key) or b"")
            value[len(value) // 2] ^= 4
            client.set(key, bytes(value))
