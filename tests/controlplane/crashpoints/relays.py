"""Relays in front of the API server, CVAT and Redis: every call of the operator passes the gate.

The API server's TLS ends in the relay, which speaks to it as the cluster's administrator; the operator speaks
HTTP to the relay. Watches pass without being numbered, or are opened and then tell nothing.
"""

from __future__ import annotations

import socket
import socketserver
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import urllib3

from tests.controlplane.crashpoints.gate import Call, CutOffError, Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OF_ONE_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length"}
_REDIS_READS = {"GET", "PING", "HELLO", "AUTH", "CLIENT", "SCAN", "SELECT", "GETUSER"}


@contextmanager
def http_relay(
    upstream: str, gate: Gate, what: str, *, silent_watches: bool = False, **tls: Any
) -> Iterator[str]:
    """Relay HTTP to an address; give the relay's own."""
    ended = Event()
    pool = urllib3.PoolManager(num_pools=2, maxsize=16, retries=False, **tls)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (CutOffError, ConnectionError, urllib3.exceptions.HTTPError):
                self.close_connection = True

        def _relay(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path, query = urlsplit(self.path).path, urlsplit(self.path).query
            if parse_qs(query).get("watch", ["false"])[0] in {"true", "1"}:
                _stream(self, self._forward(b"", preload_content=False), ended if silent_watches else None)
                return
            call = Call(f"{what} {self.command} {path}", writes=self.command not in {"GET", "HEAD"})
            answer = gate.passing(call, lambda: self._forward(body))
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _OF_ONE_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            self.wfile.write(answer.data)

        def _forward(self, body: bytes, *, preload_content: bool = True) -> urllib3.BaseHTTPResponse:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_HOP}
            return pool.request(
                self.command,
                f"{upstream}{self.path}",
                body=body,
                headers=headers,
                decode_content=False,
                preload_content=preload_content,
            )

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _relay  # noqa: N815 - as http.server calls them

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}"
        ended.set()
    pool.clear()


def _stream(handler: BaseHTTPRequestHandler, answer: urllib3.BaseHTTPResponse, silent: Event | None) -> None:
    """Pass a watch on as it comes, or keep it open and pass nothing on until an event."""
    handler.close_connection = True
    handler.send_response_only(answer.status)
    handler.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        if silent is not None:
            silent.wait()
            return
        for chunk in answer.stream(decode_content=False):
            handler.wfile.write(chunk)
    finally:
        answer.close()


@contextmanager
def redis_relay(port: int, gate: Gate) -> Iterator[int]:
    """Relay Redis' protocol, in which a client waits for the answer to what it sent; give the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                try:
                    while sent := self.request.recv(1 << 20):
                        self.request.sendall(gate.passing(_redis_call(sent), _exchange(upstream, sent)))
                except (CutOffError, ConnectionError):
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _serving(server):
        yield server.server_address[1]


def _exchange(upstream: socket.socket, sent: bytes) -> Callable[[], bytes]:
    def exchange() -> bytes:
        upstream.sendall(sent)
        return upstream.recv(1 << 20)

    return exchange


def _redis_call(sent: bytes) -> Call:
    words = [line.decode(errors="replace") for line in sent.split(b"\r\n")[2:6:2]]
    name = " ".join(words[:2]).upper() if words[0].upper() == "ACL" else words[0].upper()
    return Call(f"redis {name}", writes=name.split()[-1] not in _REDIS_READS)


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
