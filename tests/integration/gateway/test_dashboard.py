"""With a Nuclio dashboard behind it, a CVAT that is pointed at the gateway loses nothing."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Cut, Seen, Server
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


@pytest.mark.parametrize(
    "path", ["/api/../api/projects", "/api/%2e%2e/x", "/api/%41", "/api/%zz", "/api//x?a=%3D&b=+"]
)
def test_a_path_is_passed_on_as_it_was_written(both: Gateway, nuclio: Server, path: str) -> None:
    assert both.get(path).status == 404
    assert [each.path for each in nuclio.seen] == [path]


def test_nothing_is_added_to_a_request_or_lost_of_an_answer(both: Gateway, nuclio: Server) -> None:
    async def twice(_: Seen) -> web.StreamResponse:
        return web.Response(headers=CIMultiDict([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]))

    nuclio.answer = twice
    connection = http.client.HTTPConnection("127.0.0.1", both.port, timeout=20)
    connection.putrequest("GET", "/api/projects", skip_accept_encoding=True)
    connection.endheaders()
    assert connection.getresponse().headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    connection.close()
    assert set(nuclio.seen[0].headers) == {"Host"}


def test_what_is_no_path_goes_nowhere(both: Gateway, nuclio: Server) -> None:
    assert both.get(f"http://127.0.0.1:{nuclio.port}/api/projects").status == 400
    assert nuclio.seen == []


def test_an_answer_that_breaks_off_is_not_taken_for_whole(both: Gateway, nuclio: Server) -> None:
    async def cut(_: Seen) -> web.StreamResponse:
        raise Cut

    nuclio.answer = cut
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        both.get("/api/projects")
    wait_for(lambda: "was cut off" in both.log(), "the log")
    assert '"error"' not in both.log()
    assert both.get("/api/functions").status == 200


def test_a_caller_that_leaves_a_dashboard_is_no_fault(both: Gateway, nuclio: Server) -> None:
    async def hang(_: Seen) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    nuclio.answer = hang
    with socket.create_connection(("127.0.0.1", both.port), timeout=20) as connection:
        connection.sendall(b"GET /api/projects HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: nuclio.seen, "the request")
    wait_for(lambda: nuclio.left == 1, "the dashboard to notice")
    assert '"error"' not in both.log()


def test_a_body_without_a_length_is_passed_on_too(both: Gateway) -> None:
    reply = both.invoke("yolo", iter([b"[", b"1]"]))
    assert reply.json == [hashlib.sha256(b"[1]").hexdigest()]


def test_while_a_dashboard_hangs_its_functions_last_known_are_listed(
    both: Gateway, name: str, nuclio: Server
) -> None:
    async def hang(_: Seen) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    assert set(both.get("/api/functions").json) == {"yolo", name}
    nuclio.answer = hang
    with ThreadPoolExecutor(4) as pool:  # the callers' patience; CVAT's own is 120 seconds
        replies = list(pool.map(both.get, ["/api/functions"] * 4))
    assert [set(each.json) for each in replies] == [{"yolo", name}] * 4
    others = both.get("/api/functions", **{"x-nuclio-project-name": "another"})
    assert set(others.json) == {name}, "another question has another answer"


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
