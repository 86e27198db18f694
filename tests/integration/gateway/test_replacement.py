"""An agent goes, and another comes: callers wait and are answered, as long as they have patience."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
from aiohttp import web

from sam2_operator.core.gateway import door_token
from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.doors import Cut, Seen, Server, track
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import KEY, OF_ONE_WAITING, OF_THE_PROCESS, Gateway

BODY = os.urandom(5 * 2**20)
DIGEST = hashlib.sha256(BODY).hexdigest()


def retried(gateway: Gateway) -> float:
    return gateway.metric("sam2_gateway_retries_total")


def test_a_call_waits_for_an_agent_that_comes_back(agent: Server, name: str, start: Start) -> None:
    gateway = start()
    agent.stop()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, BODY)
        wait_for(lambda: retried(gateway) >= 2, "the gateway to try again")
        agent.start()
        assert reply.result(20).json["states"] == [DIGEST]


def test_a_call_is_sent_again_to_the_successor_of_an_agent_that_was_killed(
    agent: Server, name: str, start: Start
) -> None:
    gateway = start()
    assert gateway.invoke(name).status == 200
    in_hand = threading.Event()

    async def hang(_: Seen) -> web.StreamResponse:
        in_hand.set()
        await asyncio.Event().wait()
        raise AssertionError

    agent.answer = hang
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, BODY)
        assert in_hand.wait(20)
        agent.stop()
        agent.answer = track
        agent.start()
        assert reply.result(20).json["states"] == [DIGEST]
    assert [each.digest for each in agent.seen[1:]] == [DIGEST] * 2, "once in vain, once more"


@pytest.mark.parametrize("status", [503, 401])
def test_what_passes_is_tried_again(agent: Server, name: str, start: Start, *, status: int) -> None:
    """An agent without the lease says 503; one whose key is about to be replaced, 401."""
    told: list[int] = []

    async def answer(seen: Seen) -> web.StreamResponse:
        told.append(status)
        if len(told) < 3:
            return web.Response(status=status, text="Another agent serves this tracker now.")
        return await track(seen)

    agent.answer = answer
    gateway = start()
    assert gateway.invoke(name, BODY).json["states"] == [DIGEST]
    assert len(agent.seen) == 3
    assert retried(gateway) == 2


def test_an_agent_that_answers_before_it_has_read_is_heard(agent: Server, name: str, start: Start) -> None:
    answered: list[int] = []

    async def answer(seen: Seen) -> web.StreamResponse:
        answered.append(1)
        if len(answered) < 3:
            return web.Response(status=503, text="Busy.")
        return await track(seen)

    agent.answer = answer
    agent.reads = False
    gateway = start()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, BODY)
        wait_for(lambda: len(answered) >= 2, "refusals")
        agent.reads = True
        assert reply.result(20).json["states"] == [DIGEST]


def test_a_call_whose_tracker_is_stopped_meanwhile_does_not_wait(
    kubernetes: Kubernetes, agent: Server, name: str, start: Start
) -> None:
    gateway = start()
    agent.stop()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, timeout="600s")
        wait_for(lambda: retried(gateway) >= 2, "the gateway to try again")
        kubernetes.trackers[0]["spec"]["suspend"] = True
        assert (reply.result(20).status, "reload the page" in reply.result().reason) == (404, True)


def test_a_tracker_that_is_made_anew_meanwhile_is_shown_its_own_token(
    kubernetes: Kubernetes, agent: Server, name: str, start: Start
) -> None:
    async def answer(seen: Seen) -> web.StreamResponse:
        return await track(seen) if seen.token == door_token(KEY, "another") else web.Response(status=401)

    agent.answer = answer
    gateway = start()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, BODY)
        wait_for(lambda: agent.seen, "the call")
        kubernetes.trackers[0]["metadata"]["uid"] = "another"
        assert reply.result(20).json["states"] == [DIGEST]


def test_why_calls_fail_is_logged_once_for_each_cause(agent: Server, name: str, start: Start) -> None:
    async def closed(_: Seen) -> web.StreamResponse:
        return web.Response(status=401)

    def told() -> list[str]:
        return [
            each
            for each in gateway.log().splitlines()
            if f"alls of {name}" in each or f"call of {name}" in each
        ]

    agent.answer = closed
    gateway = start()
    for _ in range(2):
        assert gateway.invoke(name, timeout="1s").reason.endswith("It does not accept the gateway's key.")
    agent.answer = track
    assert gateway.invoke(name).status == 200
    agent.stop()
    assert gateway.invoke(name, timeout="1s").reason.endswith("It cannot be reached.")
    key, again, away = told()
    assert "does not accept the gateway's key" in key
    assert "answered again" in again
    assert "cannot be reached" in away


def test_one_that_does_not_come_is_told_in_time(agent: Server, name: str, start: Start) -> None:
    async def waiting(_: Seen) -> web.StreamResponse:
        return web.Response(status=503, text="Another agent serves this tracker now.")

    agent.answer = waiting
    gateway = start()
    reply = gateway.invoke(name, timeout="3s")
    assert reply.status == 503
    assert reply.reason.endswith("run again in a minute. Another agent serves this tracker now.")
    agent.stop()
    assert gateway.invoke(name, timeout="3s").reason.endswith("It cannot be reached.")


def test_an_answer_that_is_cut_off_is_asked_for_again(agent: Server, name: str, start: Start) -> None:
    asked: list[int] = []

    async def answer(seen: Seen) -> web.StreamResponse:
        asked.append(1)
        if len(asked) == 1:
            raise Cut
        return await track(seen)

    agent.answer = answer
    assert start().invoke(name, BODY).json["states"] == [DIGEST]
    assert len(asked) == 2


def test_who_finds_no_room_is_told(kubernetes: Kubernetes, agent: Server, name: str, start: Start) -> None:
    go = threading.Event()

    async def slow(seen: Seen) -> web.StreamResponse:
        await asyncio.to_thread(go.wait, 20)
        return await track(seen)

    agent.answer = slow
    with Server() as other:
        kubernetes.trackers.append(tracker(str(other.port)))
        gateway = start(MAX_BYTES=str(8 * 2**20), MAX_WAITING="1", MAX_CALLS_PER_TRACKER="1")
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(gateway.invoke, name, BODY)
            wait_for(lambda: agent.seen, "the first call")
            second = pool.submit(gateway.invoke, name, BODY)
            wait_for(lambda: gateway.metric("sam2_gateway_calls_waiting") == 1, "the second to wait")
            reply = gateway.invoke(name, BODY)
            assert (reply.status, reply.reason) == (
                503,
                "1 calls with 5 MiB are in hand already; run again in a moment.",
            )
            assert gateway.invoke(f"lab.{other.port}", b"{}").status == 200, "another tracker's small call"
            go.set()
            assert [each.result(20).status for each in (first, second)] == [200, 200]
    assert gateway.metric('sam2_gateway_call_seconds_count{result="busy"}') == 1


def test_who_waits_for_room_takes_next_to_none(agent: Server, name: str, start: Start) -> None:
    go, waiting = threading.Event(), 48

    async def slow(seen: Seen) -> web.StreamResponse:
        await asyncio.to_thread(go.wait, 60)
        return await track(seen)

    agent.answer = slow
    gateway = start(MAX_CALLS_PER_TRACKER="1")
    before = gateway.memory()
    assert before < OF_THE_PROCESS
    head = f"POST /api/function_invocations HTTP/1.1\r\nHost: x\r\nx-nuclio-function-name: {name}\r\n"
    call = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.invoke, name, b"{}")
        wait_for(lambda: agent.seen, "the first call")
        for _ in range(waiting):
            caller = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port)))
            caller.settimeout(0.2)
            with suppress(TimeoutError):  # the gateway reads no more of it
                caller.sendall(call)
        wait_for(lambda: gateway.metric("sam2_gateway_calls_waiting") == waiting, "all to wait")
        grown = gateway.memory() - before
        go.set()
        assert first.result(20).status == 200
    assert grown < waiting * OF_ONE_WAITING


def test_who_waits_for_room_in_vain_is_told(agent: Server, name: str, start: Start) -> None:
    go = threading.Event()

    async def slow(seen: Seen) -> web.StreamResponse:
        await asyncio.to_thread(go.wait, 60)
        return await track(seen)

    agent.answer = slow
    gateway = start(MAX_CALLS_PER_TRACKER="1")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gateway.invoke, name, b"{}", timeout="60s")
        wait_for(lambda: agent.seen, "the first call")
        assert "run again in a moment" in gateway.invoke(name, b"{}", timeout="1s").reason
        go.set()
        assert first.result(20).status == 200


def test_told_to_end_it_finishes_what_is_in_hand(agent: Server, name: str, start: Start) -> None:
    go = threading.Event()

    async def slow(seen: Seen) -> web.StreamResponse:
        await asyncio.to_thread(go.wait, 20)
        return await track(seen)

    agent.answer = slow
    gateway = start()
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(gateway.invoke, name, BODY)
        wait_for(lambda: agent.seen, "the call")
        gateway.terminate()
        wait_for(lambda: not gateway.is_ready(), "the gateway to be unready")
        wait_for(lambda: not gateway.accepts(), "the gateway to take no calls any more")
        for _ in range(20):
            assert gateway.health("/livez") is not None, "it has ended"
        assert agent.left == 0
        go.set()
        assert reply.result(20).json["states"] == [DIGEST]
    assert gateway.process.wait(20) == 0
