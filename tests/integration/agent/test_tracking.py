"""An annotator tracks objects with a real agent process, the small model, a real Redis and the stand-in."""

from __future__ import annotations

import json
import signal

import pytest

from tests.cvat_standin.annotator import TrackedFrame
from tests.cvat_standin.fault_control import ArmedFault
from tests.integration.agent.agent_process import PREFIX, AgentProcess
from tests.integration.agent.conftest import HEIGHT, LENGTH, WIDTH, World, disk_bitmap, square_bitmap
from tests.integration.agent.faults import COMPLETE, FRAME

AHEAD = 3
"""So far before its turn a frame is not yet fetched."""


def on_record(world: World, frame: int) -> bool:
    """Whether the request for this frame has been taken and recorded: from now on it is not lost."""
    latest = world.cvat.requests(world.function)[-1]
    with world.redis.client() as client:
        return latest.params["frame"] == frame and bool(client.hexists(f"{PREFIX}requests", latest.id))


def test_objects_of_several_types_are_tracked(world: World) -> None:
    agent = world.new_agent(plain=True)
    agent.start()
    agent.wait_ready()

    for frame, shapes in enumerate(world.track(), start=1):
        assert [shape.type if shape else None for shape in shapes] == ["mask", "polygon", "mask"]
        for shape, truth in ((shapes[0], disk_bitmap(frame)), (shapes[2], square_bitmap(frame))):
            assert shape is not None
            found = shape.bitmap(HEIGHT, WIDTH)
            assert (found & truth).sum() / (found | truth).sum() > 0.7, frame

    assert agent.metric("sam2_agent_steps_computed_total") == 3 * LENGTH
    assert {record.status for record in world.cvat.requests(world.function)} == {"finished"}


def test_an_agent_killed_in_the_middle_of_a_request_is_replaced_unnoticed(world: World) -> None:
    agents = [world.new_agent(HOLDER="the-pod")]
    agents[0].start()
    agents[0].wait_ready()
    expected = world.track()
    stalls = {8: (FRAME, {"number": "8"}), 15: (COMPLETE, {})}

    def kill(tracked: TrackedFrame) -> None:
        """Let the request for such a frame begin and stop there; then kill the agent and start another."""
        frame = tracked.frame + AHEAD
        if frame in stalls:
            route, query = stalls[frame]
            stall = world.cvat.faults.stall(route, query=query, skip=AHEAD - 1 if route == COMPLETE else 0)
            world.meanwhile(lambda: replace_when(stall, frame))

    def replace_when(stall: ArmedFault, frame: int) -> None:
        agents[-1].wait_for(lambda: stall.taken() == 1 and on_record(world, frame))
        agents[-1].kill()
        world.cvat.faults.release()
        agents.append(world.new_agent(HOLDER="the-pod"))
        agents[-1].start()

    assert world.track(kill) == expected
    assert len(agents) == 3
    agents[-1].wait_ready()
    assert agents[-1].status()["leaseEpoch"] == 3


def test_a_paused_agent_that_wakes_up_changes_nothing(world: World) -> None:
    first, second = world.new_agent(HOLDER="pod-a"), world.new_agent(HOLDER="pod-b")
    first.start()
    first.wait_ready()
    expected = world.track(stop=10)
    second.start()
    second.wait_for(lambda: second.status().get("reason") == "WaitingForLease", 90)

    def pause(tracked: TrackedFrame) -> None:
        if tracked.frame == 4 - AHEAD:
            stall = world.cvat.faults.stall(FRAME, query={"number": "4"})
            world.meanwhile(lambda: pause_when(stall))
        if tracked.frame == 7:
            first.signal(signal.SIGCONT)

    def pause_when(stall: ArmedFault) -> None:
        first.wait_for(lambda: stall.taken() == 1 and on_record(world, 4))
        first.signal(signal.SIGSTOP)
        world.cvat.faults.release()

    assert world.track(pause, stop=10) == expected
    assert second.status()["leaseHeld"]
    first.wait_for(lambda: first.status().get("leaseHeld") is False)
    assert {record.status for record in world.cvat.requests(world.function)} == {"finished"}


def test_sigterm_finishes_the_request_and_hands_over_at_once(world: World) -> None:
    first, second = world.new_agent(HOLDER="pod-a"), world.new_agent(HOLDER="pod-b", LEASE_SECONDS="60")
    first.start()
    first.wait_ready()
    expected = world.track(stop=6)

    def terminate(tracked: TrackedFrame) -> None:
        if tracked.frame == 2:
            first.signal(signal.SIGTERM)
            second.start()

    assert world.track(terminate, stop=6) == expected
    assert first.wait_exit() == 0
    assert second.status()["leaseEpoch"] == 2


@pytest.mark.parametrize(
    ("settings", "status", "reason", "words"),
    [
        ({"AGENT_ID": "not-a-word!"}, 64, "InvalidSettings", "SAM2_AGENT_AGENT_ID"),
        ({"SHAPE_TYPE": "mask"}, 64, "InvalidSettings", "Unknown settings: SAM2_AGENT_SHAPE_TYPE"),
        ({"MODEL_CHECKPOINT": "/nowhere/model.pt"}, 1, "ModelNotFound", "/nowhere/model.pt"),
        ({"DEVICE": "cuda:7"}, 1, "DeviceUnavailable", "cuda"),
    ],
)
def test_an_agent_that_gives_up_says_why(
    world: World, settings: dict[str, str], status: int, reason: str, words: str
) -> None:
    agent: AgentProcess = world.new_agent(**settings)
    agent.start()
    assert agent.wait_exit(120) == status
    message = json.loads(agent.termination_file.read_text())
    assert message["reason"] == reason
    assert words in message["message"]
    assert set(message) == {"reason", "message"}


def test_health_tells_what_the_agent_does(world: World) -> None:
    agent = world.new_agent()
    agent.start()
    agent.wait_for(lambda: agent.status().get("phase") in ("LoadingModel", "WaitingForLease", "Serving"), 60)
    agent.wait_ready()
    status = agent.status()
    assert status["reason"] == status["phase"] == "Serving"
    assert status["leaseHeld"] is True
    assert status["redisAnsweredSecondsAgo"] < 30
    assert len(status["modelFingerprint"]) == 64
    for path in ("/livez", "/startupz", "/readyz"):
        assert agent.get(path).startswith(b"Serving")
    assert agent.metric("sam2_agent_lease_held") == 1
    world.redis.kill()
    agent.wait_for(lambda: agent.status().get("reason") == "RedisUnreachable")
    assert agent.status()["ready"] is False
    secret = world.robot.token
    assert secret not in agent.log_file.read_text()
