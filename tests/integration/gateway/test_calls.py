"""What CVAT asks a Nuclio dashboard for, answered by the gateway for trackers."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from sam2_operator.core.gateway import door_token
from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway import process
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Seen, Server, track
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import KEY

MEBIBYTE = 2**20


def test_ready_trackers_are_listed_as_functions(kubernetes: Kubernetes, start: Start) -> None:
    agents = {"interface": "Agent", "url": "https://cvat", "credentialsSecretRef": {"name": "cvat"}}
    kubernetes.trackers = [
        tracker("cars", function={"name": "Cars & trucks", "shapeTypes": ["mask", "rectangle"]}),
        tracker("cars", "zoo"),
        tracker("loading", ready=False),
        tracker("stopped", suspend=True),
        tracker("others", cvat=agents),
    ]
    found = start().get("/api/functions").json
    assert set(found) == {"lab.cars", "zoo.cars"}
    metadata = found["lab.cars"]["metadata"]
    assert metadata["name"] == "lab.cars"
    assert metadata["annotations"] == {
        "name": "Cars & trucks",
        "type": "tracker",
        "spec": "[]",
        "version": "1",
        "framework": "pytorch",
        "help_message": metadata["annotations"]["help_message"],
        "supported_shape_types": "mask,rectangle",
    }
    assert "facebook/sam2.1-hiera-tiny" in found["lab.cars"]["spec"]["description"]
    assert found["lab.cars"]["status"]["state"] == "ready"


def test_a_tracker_whose_agent_is_replaced_is_found_but_not_listed(
    kubernetes: Kubernetes, start: Start
) -> None:
    kubernetes.trackers = [tracker("cars", ready=False), tracker("stopped", suspend=True)]
    gateway = start()
    assert gateway.get("/api/functions").json == {}
    assert gateway.get("/api/functions/lab.cars").json["metadata"]["name"] == "lab.cars"
    assert gateway.get("/api/functions/lab.stopped").status == 404


def test_a_call_reaches_the_agent_and_its_answer_comes_back(agent: Server, name: str, start: Start) -> None:
    body = b'{"image": "", "shapes": [], "states": []}'
    reply = start().invoke(name, body)
    assert reply.status == 200
    assert reply.json["states"] == [hashlib.sha256(body).hexdigest()]
    (seen,) = agent.seen
    assert (seen.method, seen.path, seen.length) == ("POST", "/", len(body))
    assert seen.token == door_token(KEY, f"0f0e0d0c-0b0a-0908-0706-050403020100-{agent.port}")
    assert not [each for each in seen.headers if each.lower().startswith("x-nuclio")]


def test_connections_to_the_agent_are_kept(agent: Server, name: str, start: Start) -> None:
    gateway = start()
    for _ in range(5):
        assert gateway.invoke(name).status == 200
    assert len({seen.connection for seen in agent.seen}) == 1


def test_a_large_body_is_passed_on_while_it_arrives(agent: Server, name: str, start: Start) -> None:
    gateway = start()
    before = gateway.memory()
    chunk = os.urandom(MEBIBYTE)
    digest = hashlib.sha256(chunk * 100).hexdigest()

    def pieces() -> Iterator[bytes]:
        yield chunk
        wait_for(lambda: agent.arrived, "the agent to be sent what has come so far")
        for _ in range(99):
            yield chunk

    reply = gateway.invoke(name, pieces(), length=100 * MEBIBYTE)
    assert reply.json["states"] == [digest]
    assert gateway.memory() - before < 160 * MEBIBYTE, "it is held more than once"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(400, "Draw the shape again and run."), (411, "A tracking call must tell its length.")],
)
def test_a_refusal_is_told_at_once_also_in_the_status_line(
    agent: Server, name: str, start: Start, *, status: int, sentence: str
) -> None:
    async def refuse(_: Seen) -> web.StreamResponse:
        return web.Response(status=status, text=f"{sentence}\n")

    agent.answer = refuse
    reply = start().invoke(name)
    assert (reply.status, reply.reason, reply.text) == (status, sentence, f"{sentence}\n")
    assert len(agent.seen) == 1


def test_nothing_that_an_agent_says_can_add_a_header(agent: Server, name: str, start: Start) -> None:
    async def refuse(_: Seen) -> web.StreamResponse:
        return web.Response(status=400, text="A\r\nSet-Cookie: a=b\r\n\r\nÄ" + "x" * 5000)

    agent.answer = refuse
    reply = start().invoke(name)
    assert reply.status == 400
    assert reply.reason.startswith("A Set-Cookie: a=b ?xx")
    assert len(reply.reason) == 300


@pytest.mark.parametrize("strange", ["\x00", "\x08", "\x1b[31m", "\x7f", "\u2028", "\ud7ff"])
def test_whatever_an_agent_says_is_told(agent: Server, name: str, start: Start, strange: str) -> None:
    """A type that the caller made up is in the agent's sentence."""

    async def refuse(_: Seen) -> web.StreamResponse:
        return web.Response(status=400, text=f"There is no type {strange}.")

    agent.answer = refuse
    reply = start().invoke(name)
    assert (reply.status, reply.text) == (400, f"There is no type {strange}.\n")
    assert reply.reason.startswith("There is no type")
    assert reply.reason.isascii()
    assert reply.reason.isprintable()


def test_cookies_of_one_caller_are_not_sent_for_another(agent: Server, name: str, start: Start) -> None:
    async def marked(seen: Seen) -> web.StreamResponse:
        answer = await track(seen)
        answer.headers["Set-Cookie"] = "whose=the-first-caller"
        return answer

    agent.answer = marked
    gateway = start(DOOR_ADDRESS="http://localhost:{name}")  # no cookies are kept for bare addresses
    for _ in range(2):
        assert gateway.invoke(name).status == 200
    assert [each for each in agent.seen if "Cookie" in each.headers] == []


@pytest.mark.parametrize("function", ["lab.nobody", "", "../../etc", "lab.cars\tx", "lab.\xff"])
def test_an_unknown_function_is_told(function: str, start: Start) -> None:
    reply = start().invoke(function)
    assert reply.status == 404
    assert "reload the page" in reply.reason


def test_a_call_without_a_length_or_too_long_is_refused(agent: Server, name: str, start: Start) -> None:
    gateway = start()
    assert "tell its length" in gateway.invoke(name, iter([b"{}"])).reason
    assert "is too long" in gateway.invoke(name, b"", length=2**27 + 1).reason
    small = start(MAX_BYTES=str(MEBIBYTE))
    assert "at most 1,048,576 are read" in small.invoke(name, b"", length=MEBIBYTE + 1).reason
    assert agent.seen == []


def test_the_callers_patience_is_honoured(agent: Server, name: str, start: Start) -> None:
    async def hang(_: Seen) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    agent.answer = hang
    gateway = start()
    reply = gateway.invoke(name, timeout="1s")
    assert (reply.status, reply.reason) == (
        504,
        f"The tracker {agent.port} did not answer within 1 seconds; run again.",
    )
    wait_for(lambda: agent.left == 1, "the agent to notice")
    assert gateway.metric('sam2_gateway_call_seconds_count{result="timed out"}') == 1


def test_a_caller_that_leaves_is_left(agent: Server, name: str, start: Start) -> None:
    async def hang(_: Seen) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    agent.answer = hang
    gateway = start()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("POST", "/api/function_invocations", b"{}", {"x-nuclio-function-name": name})
    wait_for(lambda: agent.seen, "the call")
    connection.close()
    wait_for(lambda: agent.left == 1, "the agent to notice")
    wait_for(lambda: gateway.metric("sam2_gateway_bytes_in_hand") == 0, "its room")


def test_many_callers_at_once_are_all_answered(agent: Server, name: str, start: Start) -> None:
    gateway = start()
    bodies = [os.urandom(MEBIBYTE) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda body: gateway.invoke(name, body), bodies * 4))
    assert [reply.json["states"] for reply in replies] == [
        [hashlib.sha256(body).hexdigest()] for body in bodies * 4
    ]


def test_what_is_no_http_floods_no_log(start: Start) -> None:
    gateway = start()
    for junk in (b"\x16\x03\x01\x02", b"GET /%s HTTP/1.1\r\n\r\n" % (b"x" * 20_000)):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            connection.sendall(junk + b"\r\n\r\n")
            while connection.recv(1024):
                continue
    assert gateway.is_ready()
    assert '"error"' not in gateway.log()


def test_an_unknown_setting_is_told(kubernetes: Kubernetes, tmp_path: Path) -> None:
    with process.gateway(kubernetes.kubeconfig(tmp_path), tmp_path, NONSENSE="1") as running:
        assert running.process.wait(20) == 64
    assert "unknown variables: SAM2_GATEWAY_NONSENSE" in running.log()
