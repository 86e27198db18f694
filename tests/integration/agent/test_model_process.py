"""The model's process: it ends with its agent, and an agent whose model has gone gives up at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.agent.agent_process import AgentProcess, children, watched
from tests.integration.agent.conftest import World
from tests.integration.agent.failing_model import SlowMemoryAttention, write_config
from tests.integration.agent.faults import at, judged, keys, meanwhile


@pytest.fixture
def agent(world: World) -> AgentProcess:
    agent = world.new_agent(LEASE_SECONDS="300")
    agent.start()
    agent.wait_ready()
    return agent


def model_of(agent: AgentProcess) -> int:
    [pid] = children(agent.pid)
    return pid


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_agent_however_that_ends(agent: AgentProcess, number: signal.Signals) -> None:
    ended = watched(model_of(agent))
    agent.signal(number)
    agent.wait_exit()
    assert ended()


def test_it_ends_with_an_agent_that_dies_while_it_loads(world: World, tmp_path: Path) -> None:
    loads = tmp_path / "loads"
    loads.touch()
    agent = world.new_agent(**write_config(tmp_path, SlowMemoryAttention, loads))
    agent.start()
    agent.wait_for(lambda: agent.status().get("phase") == "LoadingModel")
    ended = watched(model_of(agent))
    agent.kill()
    assert ended()


def test_one_that_was_started_as_people_do_ends_with_its_agent(world: World) -> None:
    agent = world.new_agent(plain=True)
    agent.start()
    agent.wait_ready()
    ended = watched(model_of(agent))
    agent.kill()
    assert ended()


def test_it_is_told_to_stop_by_its_agent_alone(world: World, agent: AgentProcess) -> None:
    """Who stops a container may signal all its processes; the request in hand is finished all the same."""
    os.kill(model_of(agent), signal.SIGTERM)
    assert len(world.track(stop=2)) == 2


def test_an_agent_whose_idle_model_is_killed_gives_up_at_once(world: World, agent: AgentProcess) -> None:
    os.kill(model_of(agent), signal.SIGKILL)
    assert agent.wait_exit() == 1
    message = json.loads(agent.termination_file.read_bytes())
    assert message["reason"] == "ModelEnded"
    assert "spec.agent.resources.limits.memory" in message["message"]
    assert not keys(world, "lease"), "given up, so that nobody waits for its end"


def test_what_the_model_takes_is_told_beside_what_its_agent_takes(agent: AgentProcess) -> None:
    took = {
        name: agent.metric(f"{name}_resident_memory_bytes")
        for name in ("process", "sam2_agent_model_process")
    }
    assert all(size > 20_000_000 for size in took.values()), took


def test_a_model_that_is_killed_in_mid_track_costs_nothing(world: World, agent: AgentProcess) -> None:
    expected = world.track(stop=5)

    def replace() -> None:
        assert agent.wait_exit() == 1
        successor = world.new_agent(HOLDER="another", LEASE_SECONDS="300")
        successor.start()

    with meanwhile(replace):
        got = world.track(at(3, lambda: os.kill(model_of(agent), signal.SIGKILL)), stop=5)
    assert judged("model's process killed", world, expected, got)
