"""A gateway between a CVAT played by the test and agents that the test scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sam2_operator.core.gateway import door_token
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.gateway.doors import Server
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import KEY, Gateway, gateway
from tests.ports import free_port
from tests.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

Start = Callable[..., Gateway]


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    with Kubernetes() as running:
        yield running


@pytest.fixture
def start(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[Start]:
    """Starts gateways; each waits until trackers are known."""
    with ExitStack() as stack:

        def started(**settings: str) -> Gateway:
            running = stack.enter_context(gateway(kubernetes.kubeconfig(tmp_path), tmp_path, **settings))
            wait_for(running.is_ready, "the gateway to know the trackers", within=30)
            return running

        yield started


@pytest.fixture
def agent(kubernetes: Kubernetes) -> Iterator[Server]:
    """The agent of a ready tracker, which is named after its port."""
    with Server() as server:
        kubernetes.trackers.append(tracker(str(server.port)))
        yield server


@pytest.fixture
def real_agent(
    kubernetes: Kubernetes, redis_server: RedisServer, tmp_path: Path
) -> Iterator[tuple[AgentProcess, str]]:
    """The real agent of a ready tracker, not started yet, and the tracker's name."""
    port = free_port()
    ready = tracker(str(port))
    kubernetes.trackers.append(ready)
    token = tmp_path / "token"
    token.write_text(door_token(KEY, ready["metadata"]["uid"]))
    settings = {"INTERFACE": "serverless", "DOOR_PORT": str(port), "DOOR_TOKEN_FILE": str(token)}
    agent = AgentProcess(tmp_path / "agent", {**settings, "REDIS_URL": redis_server.url})
    try:
        yield agent, f"lab.{port}"
    finally:
        agent.kill()


@pytest.fixture
def name(agent: Server) -> str:
    """By which CVAT calls it."""
    return f"lab.{agent.port}"
