"""CVAT's serverless side, against a small dashboard: what it sends, signs, pads, and makes of failures."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless import Annotator, Dashboard, LambdaManager
from tests.cvat_standin.shapes import Shape

SHAPES = [Shape.rectangle(1, 2, 3, 4), Shape.rectangle(5, 6, 7, 8)]


@dataclass
class Nuclio:
    """A dashboard with one function, which counts in its states; `script` may answer instead."""

    url: str = ""
    shape_types: str = "mask,polygon,rectangle"
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    script: list[Callable[[], tuple[int, bytes]]] = field(default_factory=list)

    def function(self) -> dict[str, Any]:
        annotations = {"name": "SAM2", "type": "tracker", "spec": "[]", "version": "1"}
        if self.shape_types:
            annotations["supported_shape_types"] = self.shape_types
        return {
            "metadata": {"name": "lab.sam2", "annotations": annotations},
            "spec": {"description": "tracks"},
            "status": {"state": "ready", "httpPort": 1},
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if method == "GET":
            known = {
                "/api/functions": {"lab.sam2": self.function()},
                "/api/functions/lab.sam2": self.function(),
            }
            return (200, json.dumps(known[path]).encode()) if path in known else (404, b"no such function")
        self.payloads.append(json.loads(body))
        if self.script:
            return self.script.pop(0)()
        shapes, states = self.payloads[-1]["shapes"], self.payloads[-1]["states"]
        told = (
            [{"type": "rectangle", "points": [1, 2, 3, 4]}, None] if self.shape_types else [[1, 2, 3, 4]] * 2
        )
        count = [state + 1 for state in states] or [0] * len(shapes)
        return 200, json.dumps({"shapes": told, "states": count}).encode()


@pytest.fixture
def nuclio() -> Iterator[Nuclio]:
    made = Nuclio()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.calls.append((f"{self.command} {self.path}", dict(self.headers)))
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = made.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815  (the base class names it)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Callers leave; that is no news."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_three_calls_are_nuclios(nuclio: Nuclio) -> None:
    manager = LambdaManager(Dashboard(nuclio.url, seconds=90))
    [tracker] = manager.trackers()
    assert (tracker.id, tracker.name, tracker.shape_types) == (
        "lab.sam2",
        "SAM2",
        ("mask", "polygon", "rectangle"),
    )
    track = Annotator(manager).track(tracker.id, [b"zero", b"one", b"two"], SHAPES, start=0, stop=2)
    assert [frame.shapes for frame in track.frames[1:]] == [(SHAPES[0], None)] * 2
    made = [each for each, _ in nuclio.calls]
    assert (
        made == ["GET /api/functions"] + ["GET /api/functions/lab.sam2", "POST /api/function_invocations"] * 3
    )
    headers = {name.lower(): value for name, value in nuclio.calls[-1][1].items()}
    assert headers["x-nuclio-function-name"] == "lab.sam2"
    assert headers["x-nuclio-path"] == "/"
    assert headers["x-nuclio-project-name"] == "cvat"
    assert headers["x-nuclio-invoke-timeout"] == "90s"
    begun, *continued = nuclio.payloads
    assert begun["shapes"] == [shape.to_json() for shape in SHAPES]
    assert begun["states"] == []
    assert [each["states"] for each in continued] == [[0, 0], [1, 1]]
    assert all(each["shapes"] == [None, None] for each in continued)
    assert base64.b64decode(continued[1]["image"]) == b"two"


def test_a_function_of_the_old_kind_gets_and_answers_bare_points(nuclio: Nuclio) -> None:
    nuclio.shape_types = ""
    track = Annotator(LambdaManager(Dashboard(nuclio.url))).track(
        "lab.sam2", [b"", b""], SHAPES, start=0, stop=1
    )
    assert nuclio.payloads[0]["shapes"] == [list(shape.points) for shape in SHAPES]
    assert track.frames[1].shapes == (SHAPES[0], SHAPES[0])
    nuclio.script = [lambda: (200, b'{"shapes": [null], "states": [1]}')]
    with pytest.raises(RunError, match="null"):
        LambdaManager(Dashboard(nuclio.url)).call("lab.sam2", b"", shapes=[SHAPES[0].to_json()])


def test_states_are_signed_for_eight_hours(nuclio: Nuclio) -> None:
    now = [0.0]
    manager = LambdaManager(Dashboard(nuclio.url), now=lambda: now[0])
    [state, _] = manager.call("lab.sam2", b"", shapes=[shape.to_json() for shape in SHAPES])["states"]
    now[0] = 8 * 3600.0
    assert manager.call("lab.sam2", b"", states=[state, state])["states"]
    now[0] += 1
    with pytest.raises(RunError, match="too old"):
        manager.call("lab.sam2", b"", states=[state])
    with pytest.raises(RunError, match="Invalid"):
        LambdaManager(Dashboard(nuclio.url), now=lambda: 0.0).call("lab.sam2", b"", states=[state])


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ((400, b"Draw it again.\n"), 400, "^400 Client Error: Bad Request for url: http://127.0.0.1:"),
        ((502, b"Busy."), 502, "^502 Server Error: Bad Gateway for url: http://127.0.0.1:"),
        ((200, b"<html>"), 500, "not JSON"),
        ((200, b"[]"), 500, "not a JSON object"),
        ((200, b'{"shapes": [], "states": []}'), 500, "for each of 2 objects"),
    ],
)
def test_a_failure_is_shown_by_its_status_line(
    nuclio: Nuclio, answer: tuple[int, bytes], status: int, words: str
) -> None:
    """What a function says in the body no annotator sees."""
    nuclio.script = [lambda: answer] * 2
    with pytest.raises(RunError, match=words) as failed:
        Annotator(LambdaManager(Dashboard(nuclio.url)), retries=1).track(
            "lab.sam2", [b""], SHAPES, start=0, stop=0
        )
    assert failed.value.status == status


def test_who_does_not_answer_is_called_again(nuclio: Nuclio) -> None:
    over = threading.Event()

    def late() -> tuple[int, bytes]:
        over.wait(30)
        return 200, b"{}"

    nuclio.script = [late]
    manager = LambdaManager(Dashboard(nuclio.url, seconds=0.5))
    track = Annotator(manager, retries=1).track("lab.sam2", [b"", b""], SHAPES, start=0, stop=1)
    over.set()
    assert track.complaints == ("The function did not answer in time",)
    assert len(nuclio.payloads) == 3
    with pytest.raises(RunError) as gone:
        LambdaManager(Dashboard("http://127.0.0.1:1")).trackers()
    assert gone.value.status == 503
    with pytest.raises(RunError) as unknown:
        manager.call("lab.other", b"")
    assert unknown.value.status == 404
