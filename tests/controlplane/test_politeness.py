"""CVAT is asked politely, and cannot hold the operator up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sam2_operator.adapters.agents import HttpAgents
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.core.observed import CvatAccess, TokenCredentials
from sam2_operator.errors import CvatUnreachableError, NotAskedError
from tests.controlplane.harness import MovableClock, Namespace, Operator
from tests.unit.operator.build import pod

if TYPE_CHECKING:
    from tests.cvat_standin.client import CVAT


@contextmanager
def answering(send: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers each connection's first request in its own way; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    try:
                        send(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD)
    while True:
        connection.sendall(b" " * 65536)


def dripping(clock: MovableClock) -> Callable[[socket.socket], None]:
    """An answer that comes in bytes, ten seconds of the clock apart."""

    def send(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        while True:
            clock.advance(10)
            connection.sendall(b" ")
            time.sleep(0.001)  # the network's pace, not a wait for anything

    return send


def access(url: str, *, account: int = 0) -> CvatAccess:
    return CvatAccess(url, "", TokenCredentials(f"token {account}"))


def test_an_answer_of_cvat_without_end_is_given_up() -> None:
    with answering(endless) as url, pytest.raises(CvatUnreachableError, match="larger than"):
        SdkCvat(SystemClock()).session(access(url)).user()


def test_an_answer_of_cvat_that_drips_is_given_up() -> None:
    clock = MovableClock()
    with answering(dripping(clock)) as url, pytest.raises(CvatUnreachableError, match="longer than"):
        SdkCvat(clock).session(access(url)).user()


@pytest.mark.parametrize("slowly", [False, True])
def test_an_agent_s_answer_without_end_is_given_up(slowly: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = MovableClock()
    with answering(dripping(clock) if slowly else endless) as url:
        monkeypatch.setattr("sam2_operator.adapters.agents.PORT", int(url.rpartition(":")[2]))
        report = HttpAgents(clock).report(pod(ip="127.0.0.1"))
    assert report is not None
    assert report.reason == "AgentUnreachable"


@pytest.mark.controlplane
def test_while_cvat_asks_to_wait_it_is_left_alone_and_the_rest_is_repaired(
    annotation: CVAT, namespace: Namespace, operator: Operator
) -> None:
    namespace.apply_tracker(annotation.url)
    operator.settle(namespace.name)
    fault = annotation.faults.status("GET /api/functions/{id}", 429, retry_after="40", times=None)
    operator.reconcile(namespace.name)
    asked = len(annotation.log())
    namespace.delete("statefulset", "cars-agent")
    outcome = operator.settle(namespace.name, times=5)  # woken again and again
    assert len(annotation.log()) == asked
    assert namespace.exists("statefulset", "cars-agent")
    told = namespace.condition("FunctionRegistered")
    assert (told["status"], told["reason"]) == ("Unknown", "RateLimited")
    assert outcome.retry_seconds is not None
    assert outcome.retry_seconds <= 40
    fault.clear()
    operator.clock.advance(41)
    operator.settle(namespace.name)
    assert namespace.condition("FunctionRegistered")["status"] == "True"


def test_a_silent_cvat_costs_one_wait_and_not_one_for_each_tracker() -> None:
    clock = MovableClock()
    connections = 0

    def silent(connection: socket.socket) -> None:
        nonlocal connections
        connections += 1
        closed.wait(10)

    closed = threading.Event()
    cvat = SdkCvat(clock, seconds=(0.2, 0.2))
    with answering(silent) as url:
        with pytest.raises(CvatUnreachableError):
            cvat.session(access(url)).user()
        for number in range(10):
            with pytest.raises(NotAskedError):
                cvat.session(access(url, account=number)).user()
        assert connections == 1
        closed.set()
        clock.advance(31)
        with pytest.raises(CvatUnreachableError):
            cvat.session(access(url)).user()
        assert connections == 2
