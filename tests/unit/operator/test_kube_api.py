"""A call to the API server ends in bounded time, and is sent again only if it reads."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes.client import Configuration

from sam2_operator.adapters.kube.answers import MissingRightError, UnauthorizedError
from sam2_operator.adapters.kube.api import KubeApi, Patience
from sam2_operator.errors import InvalidObjectError, KubernetesError
from tests.cvat_standin.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sam2_operator.core.observed import Manifest

QUICK = Patience(connect=1.0, read=0.2, write=0.2, call=2.0)
READS = ["GET"]
WRITES = ["POST", "PUT", "PATCH", "DELETE"]


class Server(ThreadingHTTPServer):
    """An HTTP server of which a test says what it does with each request."""

    daemon_threads = True

    def __init__(self, behave: Callable[[Request], None]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behave = behave
        self.requests: list[tuple[str, int, str]] = []
        """Verb, number of the connection, and credentials of each request."""
        self.over = threading.Event()

    @property
    def configuration(self) -> Configuration:
        return Configuration(host=f"http://127.0.0.1:{self.server_address[1]}")


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def _serve(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        port = self.client_address[1]
        self.server.requests.append((self.command, port, self.headers.get("Authorization", "")))
        self.server.behave(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as http.server calls them

    def answer(self, status: int, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def be_silent(self) -> None:
        self.server.over.wait(30)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving(behave: Callable[[Request], None]) -> Iterator[Server]:
    server = Server(behave)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("verb", [*READS, *WRITES])
def test_a_silent_server_is_given_up_and_only_reads_are_sent_again(verb: str) -> None:
    with serving(Request.be_silent) as server:
        api = KubeApi.of(server.configuration, patience=QUICK)
        began = time.monotonic()
        with pytest.raises(KubernetesError, match=f"did not answer {verb} /api"):
            api.call(verb, "/api", body=None if verb in READS else {"kind": "Pod"})
        assert time.monotonic() - began < Patience().read  # and so for less than it usually has
        sent = 2 if verb in READS else 1
        wait_for(lambda: len(server.requests) >= sent, "the server to have read them")
        assert len(server.requests) == sent


def test_an_answer_that_drips_is_given_up() -> None:
    def drip(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        while not request.server.over.wait(0.05):
            try:
                request.wfile.write(b" ")
            except OSError:
                return

    with serving(drip) as server:
        api = KubeApi.of(server.configuration, patience=Patience(1.0, 0.2, 0.2, call=0.6))
        began = time.monotonic()
        with pytest.raises(KubernetesError, match="did not answer"):
            api.call("PATCH", "/api", body={})
        assert time.monotonic() - began < Patience().read


def test_one_connection_that_went_silent_takes_all_others_with_it() -> None:
    silent: set[int] = set()
    together = threading.Barrier(4, timeout=60)

    def behave(request: Request) -> None:
        if request.client_address[1] in silent:
            request.be_silent()
            return
        if request.path == "/together":
            together.wait()
        request.answer(200, {})

    with serving(behave) as server, ThreadPoolExecutor(4) as threads:
        configuration = server.configuration
        configuration.connection_pool_maxsize = 8
        api = KubeApi.of(configuration, patience=Patience(read=2.0, write=5.0))

        def all_at_once(verb: str) -> list[Manifest]:
            calls = [threads.submit(api.call, verb, "/together", body={}) for _ in range(4)]
            return [call.result() for call in calls]

        all_at_once("GET")
        silent |= {port for _, port, _ in server.requests}
        assert len(silent) == 4
        assert api.call("GET", "/api") == {}  # over one that is silent, then over a new one
        assert all_at_once("PATCH") == [{}] * 4


def test_a_refused_token_is_read_anew_and_the_call_made_again() -> None:
    def behave(request: Request) -> None:
        valid = request.headers.get("Authorization") == "Bearer new"
        request.answer(200 if valid else 401, {"message": "Unauthorized"})

    token = "old"
    with serving(behave) as server:

        def credentials() -> Configuration:
            configuration = server.configuration
            configuration.api_key = {"BearerToken": f"Bearer {token}"}
            return configuration

        api = KubeApi.of(credentials(), credentials)
        with pytest.raises(UnauthorizedError, match="401"):
            api.call("PATCH", "/api", body={})
        assert len(server.requests) == 1  # the same token again would be refused again
        token = "new"
        assert api.call("PATCH", "/api", body={}) == {"message": "Unauthorized"}
        assert [sent for *_, sent in server.requests[1:]] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (403, {"message": 'User "x" cannot list resource "pods"'}, MissingRightError, "docs/operator.md"),
        (403, {"message": "denied by the policy"}, InvalidObjectError, "denied by the policy"),
        (422, {"message": "spec: invalid"}, InvalidObjectError, "spec: invalid"),
        (500, {"message": "etcd is away"}, KubernetesError, "etcd is away"),
        (502, b"<html>bad gateway</html>", KubernetesError, "status 502"),
        (200, b"<html>log in</html>", KubernetesError, "no JSON object"),
        (200, [], KubernetesError, "no JSON object"),
    ],
)
def test_what_is_no_object_is_told_in_a_sentence(
    status: int, body: Any, kind: type[KubernetesError], said: str
) -> None:
    with serving(lambda request: request.answer(status, body)) as server:
        with pytest.raises(KubernetesError, match=said) as caught:
            KubeApi.of(server.configuration).call("GET", "/api")
        assert type(caught.value) is kind
