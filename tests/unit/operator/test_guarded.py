"""Where the operator never connects, whatever a tracker's URLs say: clouds' metadata services."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator.adapters import guarded
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.adapters.guarded import ForbiddenAddressError, require_allowed
from sam2_operator.adapters.statestore import RedisStateStore
from sam2_operator.core.observed import CvatAccess, StateAccess, TokenCredentials
from sam2_operator.errors import CvatUnreachableError, StateStoreError
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = "169.254.169.254"


class Listener:
    """A server that says one line and keeps what it was sent."""

    def __init__(self, line: bytes = b"") -> None:
        self.received = b""
        self.connections = 0
        self._line = line
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._server.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(5)
                connection.sendall(self._line)
                try:
                    while piece := connection.recv(4096):
                        self.received += piece
                except OSError:
                    continue


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener(b"SECRET-BANNER of something else\r\n")
    yield running
    running.close()


def cvat_answers(url: str) -> None:
    cvat = SdkCvat(SystemClock())
    try:
        cvat.session(CvatAccess(url, "", TokenCredentials("the-token"))).functions()
    finally:
        cvat.close()


def redis_answers(url: str) -> None:
    store = RedisStateStore(None)
    try:
        store.ping(StateAccess(url))
    finally:
        store.close()


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254",
     "64:ff9b::a9fe:a9fe", "168.63.129.16", "100.100.100.200"],
)  # fmt: skip
def test_addresses_that_serve_nodes_their_credentials(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        require_allowed("cvat.example", ["192.0.2.1", address])


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.1", "127.0.0.1", "2001:db8::1", "fd00::1", "64:ff9b::a00:1"]
)
def test_addresses_where_a_cvat_may_be(address: str) -> None:
    require_allowed("cvat.example", [address])


def forged(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Let the DNS give these addresses for any name, one after the other; the last for ever."""
    left = list(answers)
    real = socket.getaddrinfo

    def answer(host: str, port: int, *arguments: Any, **named: Any) -> Any:
        return real(left.pop(0) if len(left) > 1 else left[0], port, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.parametrize(
    "url", [f"http://{METADATA}/latest/meta-data", f"https://{METADATA}", "http://[fe80::1]", "http://2852039166"]
)  # fmt: skip
def test_a_url_of_a_metadata_service_is_refused_at_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **named: Any) -> Any:
        looked_up.append(host)
        return real(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(CvatUnreachableError, match="never connects"):
        cvat_answers(url)
    assert len(looked_up) == 1, "it was not tried again"


def test_a_name_of_a_metadata_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forged(monkeypatch, METADATA)
    with pytest.raises(CvatUnreachableError, match="never connects"):
        cvat_answers("http://innocent.example")
    with pytest.raises(StateStoreError, match="never connects"):
        redis_answers("redis://innocent.example:6379")


def test_a_name_that_means_another_address_the_second_time(
    monkeypatch: pytest.MonkeyPatch, listener: Listener
) -> None:
    # 127.0.0.1 plays the metadata service: no test machine has one.
    monkeypatch.setattr(guarded, "_METADATA", frozenset({ip_address("127.0.0.1")}))
    for ask, scheme in ((cvat_answers, "http"), (redis_answers, "redis")):
        with monkeypatch.context() as once:
            forged(once, "192.0.2.1", "127.0.0.1")
            with pytest.raises((CvatUnreachableError, StateStoreError), match="never connects"):
                ask(f"{scheme}://innocent.example:{listener.port}")
    wait_for(lambda: listener.connections == 2, "both connections")
    assert listener.received == b"", "nothing was sent"


@pytest.mark.parametrize(
    "url",
    [
        "unix:///var/run/redis.sock",
        "file:///etc/passwd",
        "rediss://127.0.0.1?ssl_certfile=/var/run/secrets/token",
        "rediss://127.0.0.1?ssl_ca_certs=/etc/passwd",
        "redis://127.0.0.1?socket_timeout=9999",
    ],
)
def test_a_redis_url_cannot_name_files_sockets_or_patience(url: str) -> None:
    with pytest.raises(StateStoreError, match="The URL of Redis is none"):
        redis_answers(url)


def test_what_is_no_redis_is_not_quoted(listener: Listener) -> None:
    with pytest.raises(StateStoreError, match="is not Redis") as told:
        redis_answers(f"redis://127.0.0.1:{listener.port}")
    assert "SECRET-BANNER" not in str(told.value)
    assert listener.connections


def test_what_is_no_cvat_is_not_quoted(listener: Listener) -> None:
    with pytest.raises(CvatUnreachableError) as told:
        cvat_answers(f"http://127.0.0.1:{listener.port}")
    assert "SECRET-BANNER" not in str(told.value)
    assert "the-token" not in str(told.value)
