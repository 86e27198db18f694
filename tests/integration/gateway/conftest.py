"""A gateway between a CVAT played by the test and agents that the test scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.doors import Server
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import Gateway, gateway

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
def name(agent: Server) -> str:
    """By which CVAT calls it."""
    return f"lab.{agent.port}"
