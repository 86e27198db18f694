"""Only CVAT may call: by a secret in the path, in a login or in a header."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cvat_standin.serverless import Dashboard, LambdaManager
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Server
from tests.integration.gateway.process import Gateway
from tests.integration.gateway.test_dashboard import dashboard

SECRET = "s3cret-of-cvat"


def login(password: str, scheme: str = "Basic") -> dict[str, str]:
    told = f"cvat:{password}" if scheme == "Basic" else password
    token = base64.b64encode(told.encode()).decode() if scheme == "Basic" else told
    return {"Authorization": f"{scheme} {token}"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.fixture
def nuclio() -> Iterator[Server]:
    with Server() as server:
        server.answer = dashboard
        yield server


@pytest.fixture
def closed(agent: Server, nuclio: Server, secret: Path, start: Start) -> Gateway:
    """A gateway that wants to be shown a secret."""
    del agent
    return start(SECRET_FILE=str(secret), NUCLIO_URL=nuclio.url)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/{SECRET}/api/functions", {}),
        ("/api/functions", login(SECRET)),
        ("/api/functions", login(SECRET, "Bearer")),
        ("/api/functions", {"X-SAM2-Gateway-Secret": SECRET}),
    ],
)
def test_who_shows_the_secret_is_answered(
    closed: Gateway, name: str, nuclio: Server, *, path: str, headers: dict[str, str]
) -> None:
    assert set(closed.request("GET", path, headers=headers).json) == {name, "yolo"}
    (seen,) = nuclio.seen
    assert seen.path == "/api/functions"
    assert SECRET not in str(seen)
    assert "Authorization" not in seen.headers


def test_a_login_that_is_not_the_secret_is_the_dashboards(closed: Gateway, nuclio: Server) -> None:
    headers = login("of-the-dashboard")
    assert closed.get(f"/{SECRET}/api/functions", **headers).status == 200
    assert closed.get("/api/functions", **headers, **{"X-SAM2-Gateway-Secret": SECRET}).status == 200
    assert [each.headers.get("Authorization") for each in nuclio.seen] == [headers["Authorization"]] * 2
    assert SECRET not in str(nuclio.seen)


def test_cvat_shows_it_by_the_address_that_its_environment_gives(closed: Gateway, name: str) -> None:
    environment = {"CVAT_NUCLIO_HOST": f"cvat:{SECRET}@127.0.0.1", "CVAT_NUCLIO_PORT": str(closed.port)}
    assert [each.id for each in LambdaManager(Dashboard.of(environment)).trackers()] == [name]


def test_a_call_may_have_the_secret_in_its_path(closed: Gateway, name: str, agent: Server) -> None:
    assert closed.invoke(name, path=f"/{SECRET}/api/function_invocations").status == 200
    assert SECRET not in str(agent.seen)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/functions", {}),
        ("/s3cret/api/functions", {}),
        (f"/api/{SECRET}/functions", {}),
        ("/api/functions", login("wrong")),
        ("/api/functions", {"Authorization": "Basic !"}),
        ("/api/functions", {"Authorization": "Negotiate x"}),
        ("/api/functions", {"X-SAM2-Gateway-Secret": ""}),
        ("/api/functions", {"X-SAM2-Gateway-Secret": "\u00e4"}),
        ("//api/functions", {}),
    ],
)
def test_nobody_else_is(closed: Gateway, nuclio: Server, *, path: str, headers: dict[str, str]) -> None:
    reply = closed.request("GET", path, headers=headers)
    assert (reply.status, reply.reason) == (401, "Only CVAT may call this gateway.")
    assert nuclio.seen == []


def test_a_call_that_is_not_admitted_reaches_nobody(closed: Gateway, name: str, agent: Server) -> None:
    assert closed.invoke(name).status == 401
    assert agent.seen == []


def test_the_secret_may_change(closed: Gateway, secret: Path) -> None:
    secret.write_text("another")
    assert closed.get(f"/{SECRET}/api/functions").status == 401
    assert closed.get("/another/api/functions").status == 200
    secret.unlink()
    assert closed.get("/another/api/functions").status == 503
    assert "cannot be read" in closed.log()
    assert SECRET not in closed.log()


def test_the_key_of_the_doors_may_change(agent: Server, name: str, start: Start, tmp_path: Path) -> None:
    gateway = start()
    assert gateway.invoke(name).status == 200
    (tmp_path / "door-key").write_text("another-key-of-the-doors-of-all-agents")
    assert gateway.invoke(name).status == 200
    first, second = agent.seen
    assert first.token != second.token
