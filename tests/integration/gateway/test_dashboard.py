"""With a Nuclio dashboard behind it, a CVAT that is pointed at the gateway loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Seen, Server
from tests.integration.gateway.process import Gateway

DETECTOR: dict[str, Any] = {
    "metadata": {"name": "yolo", "annotations": {"type": "detector"}},
    "spec": {"description": "YOLO"},
    "status": {"state": "ready"},
}


async def dashboard(seen: Seen) -> web.StreamResponse:
    """What Nuclio answers."""
    if seen.path == "/api/functions":
        return web.json_response({"yolo": DETECTOR})
    if seen.path == "/api/functions/yolo":
        return web.json_response(DETECTOR)
    if seen.path.startswith("/api/function_invocations"):
        return web.json_response([seen.digest], status=200, headers={"X-Nuclio-Logs": "[]"})
    return web.json_response({"error": "Not found"}, status=404)


@pytest.fixture
def nuclio() -> Iterator[Server]:
    with Server() as server:
        server.answer = dashboard
        yield server


@pytest.fixture
def both(nuclio: Server, agent: Server, start: Start) -> Gateway:
    """A gateway for an agent, with a dashboard."""
    del agent
    return start(NUCLIO_URL=f"{nuclio.url}/")


def test_lists_are_merged(both: Gateway, name: str) -> None:
    assert set(both.get("/api/functions").json) == {"yolo", name}


def test_each_function_is_found_where_it_is(both: Gateway, name: str) -> None:
    assert both.get("/api/functions/yolo").json == DETECTOR
    assert both.get(f"/api/functions/{name}").json["metadata"]["name"] == name
    assert both.get("/api/functions/nobody").status == 404


def test_invocations_go_where_the_function_is(
    both: Gateway, name: str, nuclio: Server, agent: Server
) -> None:
    body = os.urandom(3 * 2**20)
    digest = hashlib.sha256(body).hexdigest()
    assert both.invoke("yolo", body).json == [digest]
    assert both.invoke(name, body).json["states"] == [digest]
    assert len(nuclio.seen) == len(agent.seen) == 1
    headers = {key.lower(): value for key, value in nuclio.seen[0].headers.items()}
    assert headers["x-nuclio-function-name"] == "yolo"
    assert headers["x-nuclio-invoke-timeout"] == "20s"
    assert headers["host"].endswith(str(nuclio.port))


def test_everything_else_is_passed_on_as_it_came(both: Gateway, nuclio: Server) -> None:
    reply = both.request(
        "PUT", "/api/projects?x=%20a&y=1", body=b"[1]", headers={"x-nuclio-log-level": "debug"}
    )
    assert (reply.status, json.loads(reply.text)) == (404, {"error": "Not found"})
    (seen,) = nuclio.seen
    assert (seen.method, seen.path, seen.length) == ("PUT", "/api/projects?x=%20a&y=1", 3)
    assert seen.headers["x-nuclio-log-level"] == "debug"


def test_a_body_without_a_length_is_passed_on_too(both: Gateway) -> None:
    reply = both.invoke("yolo", iter([b"[", b"1]"]))
    assert reply.json == [hashlib.sha256(b"[1]").hexdigest()]


def test_a_dashboard_that_is_away_takes_no_tracker_away(both: Gateway, name: str, nuclio: Server) -> None:
    nuclio.stop()
    assert set(both.get("/api/functions").json) == {name}
    assert both.invoke(name).status == 200
    reply = both.invoke("yolo")
    assert (reply.status, reply.reason) == (502, "Nuclio's dashboard does not answer; try again in a moment.")
    nuclio.start()
    assert set(both.get("/api/functions").json) == {"yolo", name}
    told = [line for line in both.log().splitlines() if "Nuclio's dashboard" in line]
    assert len(told) == 2


@pytest.mark.parametrize("answer", ["[]", "<html>", '{"yolo": '])
def test_a_dashboard_that_says_nonsense_takes_no_tracker_away(
    both: Gateway, name: str, nuclio: Server, answer: str
) -> None:
    async def nonsense(_: Seen) -> web.StreamResponse:
        return web.Response(text=answer)

    nuclio.answer = nonsense
    assert set(both.get("/api/functions").json) == {name}


def test_without_a_dashboard_there_is_nothing_else(agent: Server, start: Start) -> None:
    del agent
    gateway = start()
    assert gateway.get("/api/functions/yolo").status == 404
    assert gateway.get("/api/projects").status == 404
    assert gateway.request("DELETE", "/api/functions", body=b"{}").status == 404
