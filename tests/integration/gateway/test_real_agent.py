"""The real agent behind the gateway: a clip is tracked, call by call, while the agent is killed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import fault_table
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.conftest import LENGTH, drawn_shapes
from tests.integration.agent.test_serverless_door import payload
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.process import Gateway

pytestmark = pytest.mark.slow


def track(gateway: Gateway, name: str, agent: AgentProcess, killed_at: set[int]) -> list[Any]:
    """All shapes of a clip; before some frames the agent is killed, and another one starts."""
    states: list[Any] = []
    told = []
    for frame in range(LENGTH):
        if frame in killed_at:
            agent.kill()
            agent.start()
        shapes = [None] * len(states) if states else [shape.to_json() for shape in drawn_shapes()]
        reply = gateway.invoke(name, payload(frame, shapes=shapes, states=states), timeout="60s")
        assert reply.status == 200, reply
        states = reply.json["states"]
        told.append(tuple(json.dumps(shape) for shape in reply.json["shapes"]))
    return told[1:]


def test_a_clip_is_tracked_whatever_becomes_of_its_agent(
    real_agent: tuple[AgentProcess, str], start: Start
) -> None:
    agent, name = real_agent
    gateway = start()
    agent.start()
    agent.wait_ready()
    expected = track(gateway, name, agent, set())
    told = track(gateway, name, agent, {2, 3, LENGTH - 1})
    assert all(shape != "null" for shape in expected[0])
    verdict = fault_table.add("gateway: agent killed", fault_table.judge(expected, told))
    assert verdict.clean, verdict
    assert gateway.metric("sam2_gateway_retries_total") >= 3
