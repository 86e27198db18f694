"""The accelerator fails: the agent ends with a reason, and its successor finishes the request.

The exceptions are PyTorch's own, raised inside of the model; see `failing_model`.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from sam2_agent.core.requests import Recorded
from tests.cvat_standin.annotator import RunError
from tests.integration.agent.agent_process import PREFIX, AgentProcess
from tests.integration.agent.conftest import World
from tests.integration.agent.failing_model import FailingMemoryAttention, write_config
from tests.integration.agent.faults import at, judged, keys, meanwhile, some


class Pod:
    """What Kubernetes does: starts an agent with another holder's name where one has ended."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._orders = folder / "orders"
        self._orders.touch()
        self._settings = write_config(folder, FailingMemoryAttention, self._orders)
        self._started = 0

    def order(self, failure: str) -> None:
        """Tell the model how to fail from now on; not at all for an empty text."""
        self._orders.write_text(failure)

    def start(self) -> AgentProcess:
        self._started += 1
        agent = self._world.new_agent(HOLDER=f"pod-{self._started}", LEASE_SECONDS="300", **self._settings)
        agent.start()
        return agent


@pytest.fixture
def pod(world: World, tmp_path: Path) -> Pod:
    return Pod(world, tmp_path)


FAILURES = [
    ("out of memory", "OutOfDeviceMemory", "give the agent a larger GPU, or a smaller model"),
    ("device lost", "DeviceLost", "illegal memory access"),
    ("library failed", "DeviceLost", "CUDNN_STATUS_EXECUTION_FAILED"),
]


@pytest.mark.parametrize(("failure", "reason", "words"), some(FAILURES, 1))
def test_an_agent_whose_device_fails_ends_with_a_reason_and_the_next_goes_on(
    world: World, pod: Pod, failure: str, reason: str, words: str
) -> None:
    first = pod.start()
    first.wait_ready()
    expected = world.track(stop=5)

    def replace() -> None:
        assert first.wait_exit() == 1
        message = json.loads(first.termination_file.read_bytes())
        assert message["reason"] == reason
        assert words in message["message"]
        assert not keys(world, "lease")  # given up, so that nobody waits for its end
        if reason != "DeviceLost":  # which may have been found before somebody asked
            assert keys(world, "requests")
        pod.order("")
        pod.start()

    with meanwhile(replace):
        got = world.track(at(3, lambda: pod.order(failure)), stop=5)
    assert judged(f"device: {failure}", world, expected, got)
    assert {record.handed_out for record in world.cvat.requests()} == {1}


def test_a_device_that_is_lost_while_working_ahead_ends_the_agent_before_anybody_asks(
    world: World, pod: Pod
) -> None:
    first = pod.start()
    first.wait_ready()
    pod.order("device lost")
    world.begin()  # reads no memory yet
    assert first.wait_exit() == 1
    assert json.loads(first.termination_file.read_bytes())["reason"] == "DeviceLost"
    assert [record.status for record in world.cvat.requests()] == ["finished"]


def test_a_request_that_is_too_much_for_every_device_is_failed_and_others_go_on(
    world: World, pod: Pod
) -> None:
    first = pod.start()
    first.wait_ready()
    expected = world.track(stop=3)
    pod.order("out of memory from 400")  # what the fourth frame after the prompt reads

    def replace_until_it_is_given_up() -> None:
        assert first.wait_exit() == 1
        with world.redis.client() as client:
            [(ar_id, data)] = client.hgetall(f"{PREFIX}requests").items()
            request = Recorded.load(data, ar_id.decode())
            assert request.attempts == 1
            fifth = request.model_copy(update={"attempts": 4})  # as three more agents would leave it
            client.hset(f"{PREFIX}requests", ar_id, fifth.dump())
        assert pod.start().wait_exit() == 1
        pod.start()

    with (
        meanwhile(replace_until_it_is_given_up),
        pytest.raises(
            RunError, match=r"^The tracking agent stopped 5 times during this request; it gave up\.$"
        ),
    ):
        world.track(stop=4)
    assert judged("device: poison request", world, expected, world.track(stop=3))


def test_a_signal_while_the_device_fails_changes_nothing(world: World, pod: Pod) -> None:
    agent = pod.start()
    agent.wait_ready()
    states = world.begin()
    pod.order("device lost")
    world.cvat.submit(
        world.function, {"type": "track", "task": world.task, "frame": 1, "states": states}, "ann"
    )
    agent.signal(signal.SIGTERM)
    assert agent.wait_exit() in (0, 1)
    pod.order("")
    pod.start()
    world.cvat.wait_for_request(world.function, "finished")
