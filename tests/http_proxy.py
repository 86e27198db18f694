"""A small HTTP proxy: tunnels (CONNECT) and plain requests, to hosts that only it knows."""

from __future__ import annotations

import base64
import select
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

_PIECE_BYTES = 1 << 16
_OF_ONE_HOP = frozenset({"proxy-authorization", "proxy-connection", "connection"})


@dataclass
class HttpProxy:
    """A running proxy and what it was asked for."""

    hosts: Mapping[str, tuple[str, int]]
    """Where the hosts are that it serves; it refuses all others."""
    login: str | None = None
    """`user:password`, where it asks for one."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """Each request line's method and target, in order."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_proxy(hosts: Mapping[str, tuple[str, int]], login: str | None = None) -> Iterator[HttpProxy]:
    """Run a proxy on a free port of the loopback interface."""
    proxy = HttpProxy(hosts, login)

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_CONNECT(self) -> None:
            host, _, port = self.path.rpartition(":")
            if upstream := self._upstream(host, int(port)):
                with upstream:
                    self.send_response(200)
                    self.end_headers()
                    self.wfile.flush()
                    _relay(self.connection, upstream)

        def _forward(self) -> None:
            target = urlsplit(self.path)
            if upstream := self._upstream(target.hostname or "", target.port or 80):
                with upstream:
                    path = target._replace(scheme="", netloc="").geturl()
                    head = [f"{self.command} {path} HTTP/1.1", "Connection: close"]
                    head += [f"{name}: {value}" for name, value in self.headers.items()
                             if name.lower() not in _OF_ONE_HOP]  # fmt: skip
                    body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    upstream.sendall("\r\n".join([*head, "", ""]).encode() + body)
                    while piece := upstream.recv(_PIECE_BYTES):
                        self.wfile.write(piece)
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815 - what the base class looks for

        def _upstream(self, host: str, port: int) -> socket.socket | None:
            """Connect to where the host is, or answer why not."""
            proxy.asked.append(f"{self.command} {self.path}")
            expected = base64.b64encode((proxy.login or "").encode()).decode()
            if proxy.login and self.headers.get("Proxy-Authorization") != f"Basic {expected}":
                self.send_error(407)
            elif host not in proxy.hosts or proxy.hosts[host][1] != port:
                self.send_error(502)
            else:
                return socket.create_connection(proxy.hosts[host], timeout=30)
            return None

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    ends = {one: other, other: one}
    while True:
        for readable in select.select(list(ends), [], [])[0]:
            try:
                piece = readable.recv(_PIECE_BYTES)
                ends[readable].sendall(piece)
            except OSError:
                return
            if not piece:
                return
