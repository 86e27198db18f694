"""What the probes of a pod are answered, by real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from sam2_agent.adapters import health
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.core.lease import Lease
from sam2_agent.core.status import FRESH_SECONDS, STUCK_SECONDS, Status
from sam2_agent.errors import CVATUnavailable
from tests.unit.agent.test_status import Clock


@pytest.fixture
def status() -> Status:
    return Status("1.0", Clock())


@pytest.fixture
async def page(status: Status) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        health.serve(status, Metrics(status).expose, 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def probes(page: aiohttp.ClientSession) -> dict[str, int]:
    found = {}
    for path in ("startupz", "readyz", "livez"):
        async with page.get(f"/{path}") as answer:
            found[path] = answer.status
    return found


async def test_a_model_may_load_for_an_hour(page: aiohttp.ClientSession, status: Status) -> None:
    status.phase = "LoadingModel"
    await status.clock.sleep(3600)
    assert await probes(page) == {"startupz": 503, "readyz": 503, "livez": 200}


async def test_a_serving_agent(page: aiohttp.ClientSession, status: Status) -> None:
    status.phase, status.fingerprint = "Serving", "model"
    status.moved()
    assert await probes(page) == {"startupz": 200, "readyz": 503, "livez": 200}
    status.lease = Lease("token", 1, status.clock.now() + 1000)
    status.answered("CVAT")
    status.answered("Redis")
    assert await probes(page) == {"startupz": 200, "readyz": 200, "livez": 200}
    await status.clock.sleep(FRESH_SECONDS + 1)
    status.trouble("CVAT", CVATUnavailable("CVAT is away.", reason="CVATUnreachable"))
    status.moved()
    assert await probes(page) == {"startupz": 200, "readyz": 503, "livez": 200}
    async with page.get("/readyz") as answer:
        assert await answer.text() == "CVATUnreachable: CVAT is away.\n"


async def test_a_loop_that_stands_still(page: aiohttp.ClientSession, status: Status) -> None:
    status.phase, status.fingerprint = "Serving", "model"
    status.moved()
    await status.clock.sleep(STUCK_SECONDS + 1)
    assert (await probes(page))["livez"] == 503
    async with page.get("/metrics") as answer:
        assert "sam2_agent_ready 0.0" in await answer.text()
