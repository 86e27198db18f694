"""The real agent behind the gateway: a clip is tracked, call by call, while the agent is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sam2_operator.core.gateway import door_token
from tests import fault_table
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.conftest import LENGTH, drawn_shapes
from tests.integration.agent.test_serverless_door import payload
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import KEY, Gateway
from tests.ports import free_port
from tests.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

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
    kubernetes: Kubernetes, redis_server: RedisServer, start: Start, tmp_path: Path
) -> None:
    port = free_port()
    ready = tracker(str(port))
    kubernetes.trackers.append(ready)
    token = tmp_path / "token"
    token.write_text(door_token(KEY, ready["metadata"]["uid"]))
    settings = {
        "INTERFACE": "serverless",
        "DOOR_PORT": str(port),
        "DOOR_TOKEN_FILE": str(token),
        "REDIS_URL": redis_server.url,
    }
    agent = AgentProcess(tmp_path / "agent", settings)
    gateway = start()
    agent.start()
    try:
        agent.wait_ready()
        expected = track(gateway, f"lab.{port}", agent, set())
        told = track(gateway, f"lab.{port}", agent, {2, 3, LENGTH - 1})
    finally:
        agent.kill()
    assert all(shape != "null" for shape in expected[0])
    verdict = fault_table.add("gateway: agent killed", fault_table.judge(expected, told))
    assert verdict.clean, verdict
    assert gateway.metric("sam2_gateway_retries_total") >= 3
