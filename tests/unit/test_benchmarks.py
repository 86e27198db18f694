"""What `make bench` measures with is right: the line, the stock function, the bookkeeping, the files."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cvat_sdk.auto_annotation as cvataa
import numpy as np
import pytest
import torch
from cvat_sdk.masks import decode_mask, encode_mask
from PIL import Image

from benchmarks import stock_function
from benchmarks.speed import gpu, machine, report
from benchmarks.speed.arithmetic import count, rate
from benchmarks.speed.clip import make_clip
from benchmarks.speed.models import SMALL
from benchmarks.speed.own_loop import OwnLoop
from benchmarks.speed.relay import delay_line
from benchmarks.speed.report import Column, Goal, Table
from benchmarks.speed.spans import Span, covered, served
from benchmarks.speed.tables.breakdown import partition
from benchmarks.speed.tables.requests import Call, critical
from benchmarks.speed.tracing import FORWARD, MODEL_POINTS, POINTS, Point, Tracer

CPU = torch.device("cpu")
DELAY = 0.05


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def own() -> OwnLoop:
    return OwnLoop(SMALL, CPU)


@contextmanager
def echo() -> Iterator[int]:
    """The port of a server that sends back what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(65_536):
                    connection.sendall(piece)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def read(connection: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        found += connection.recv(count - len(found))
    return found


def test_the_line_delays_both_ways_keeps_the_order_and_holds_many_messages_at_once() -> None:
    with (
        echo() as port,
        delay_line(port, DELAY) as line,
        socket.create_connection(("127.0.0.1", line.port)) as here,
    ):
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.monotonic()
        here.sendall(b"?")
        assert read(here, 1) == b"?"
        there_and_back = time.monotonic() - began
        assert there_and_back >= 2 * DELAY

        messages = [number.to_bytes(2) for number in range(1000)]
        began = time.monotonic()
        for message in messages:
            here.sendall(message)
        assert read(here, 2000) == b"".join(messages)
        assert time.monotonic() - began < len(messages) * there_and_back / 10  # not one after the other

        large = np.random.default_rng(0).bytes(2**22)
        sending = threading.Thread(target=here.sendall, args=(large,))
        sending.start()
        assert read(here, len(large)) == large
        sending.join()


def test_the_stock_function_gives_the_masks_of_sam2s_own_loop(tmp_path: Path, own: OwnLoop) -> None:
    clip = make_clip(tmp_path / "clip", 18, SMALL.size)  # not shorter than SAM2's window
    theirs: dict[int, np.ndarray] = {}
    own.run(
        clip, clip.prompts(2), on_frame=lambda frame, logits: theirs.update({frame: logits[:, 0].numpy() > 0})
    )
    height, width = clip.masks[0].shape
    function = stock_function.create(str(SMALL.config), str(SMALL.checkpoint))
    context = Context()
    images = [Image.open(io.BytesIO(data)) for data in clip.jpegs]

    first = function.preprocess_image(context, images[0])
    tracks = [
        function.init_tracking_state(
            context, first, cvataa.TrackableShape(type="mask", points=encode_mask(mask))
        )
        for mask in clip.prompts(2)
    ]
    for number, image in enumerate(images[1:], start=1):
        frame = function.preprocess_image(context, image)
        for tracked, mask in zip(tracks, theirs[number], strict=True):
            shape = function.track(context, frame, tracked)
            assert shape is not None
            found = decode_mask(shape.points, image_width=width, image_height=height)
            assert np.array_equal(found, mask), number


@pytest.mark.slow  # PyTorch's counter is slow
def test_a_frames_arithmetic_grows_by_the_same_for_each_object(tmp_path: Path, own: OwnLoop) -> None:
    counted = count(own, make_clip(tmp_path / "clip", 2, SMALL.size))

    assert counted.of(1) > counted.each > 1e7
    assert counted.of(32) == pytest.approx(counted.of(1) + 31 * counted.each)
    assert rate(CPU) > 1e8


def test_bench_gpu_says_that_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert gpu.main(["--results", str(tmp_path)]) == 2

    captured = capsys.readouterr()
    assert captured.err.startswith("bench-gpu measures on cuda, but PyTorch sees no such CUDA device here;")
    assert (captured.out, list(tmp_path.iterdir())) == ("", [])


def test_a_results_file_says_where_when_and_what_was_promised(tmp_path: Path) -> None:
    goals = [Goal("over", 1.2, 1.05), Goal("times", 4.0, 3.0, at_least=True), Goal("told", 7.0)]
    rows = [{"objects": 1, "ms": 12.3456789, "none": None}]
    about = {"date": machine.date(), "machine": machine.machine(CPU), "versions": machine.versions()}
    columns = [Column("objects", "objects", "d"), Column("ms", "ms")]
    table = Table("t", "Title", "How.", columns, rows, goals, details={"more": [1]}, about=about)
    file = tmp_path / "results" / "cpu-t.json"

    table.write(file)

    found = json.loads(file.read_text())
    assert found["machine"]["cores"] > 0
    assert found["machine"]["device"] == "cpu"
    assert {"torch", "sam2", "cvat-cli", "python"} <= found["versions"].keys()
    assert found["date"].endswith("UTC")
    assert [goal["met"] for goal in found["goals"]] == [False, True, None]
    assert found["rows"] == [{"objects": 1, "ms": 12.3457, "none": None}]
    assert "MISSED  over: 1.2, goal at most 1.05" in table.text()
    again = report.read(file)
    assert (again.name, again.title, again.rows) == ("t", "Title", found["rows"])
    assert (again.details, again.about) == ({"more": [1]}, about)


@pytest.mark.parametrize("point", [*POINTS, *MODEL_POINTS, *FORWARD], ids=lambda point: point.path)
def test_what_is_watched_is_there(point: Point) -> None:
    assert callable(point.resolve()[2])


def test_a_point_that_is_gone_is_told() -> None:
    with pytest.raises(
        LookupError, match=r"no sam2_agent\.core\.rounds\.gone; say in benchmarks/speed/tracing"
    ):
        Point("sam2_agent.core.rounds", "gone", "gone").resolve()


async def test_calls_are_written_down_when_a_request_is_completed(tmp_path: Path) -> None:
    file = tmp_path / "spans"
    tracer = Tracer(file, at="complete")
    before = Queue.acquire, Queue.complete
    try:
        for name in ("acquire", "complete"):
            tracer.watch(Point(__name__, f"Queue.{name}", name))
        queue = Queue()
        request = await queue.acquire("interactive")
        assert not file.exists()
        await queue.complete(request.ar_id, {})
    finally:
        Queue.acquire, Queue.complete = before  # type: ignore[method-assign]

    spans = [Span.model_validate_json(line) for line in file.read_text().splitlines()]
    assert [(span.name, span.request) for span in spans] == [("acquire", "r1"), ("complete", "r1")]
    assert spans[0].begin <= spans[0].end <= spans[1].begin


SPANS = [
    Span(name="acquire", begin=0.0, end=1.0, request="r0"),
    Span(name="complete", begin=2.0, end=3.0, request="r0"),
    Span(name="acquire", begin=4.0, end=5.0, request="r1"),
    Span(name="record", begin=5.0, end=6.0, request="r1"),
    Span(name="fetch", begin=5.5, end=8.0),
    Span(name="decode", begin=7.0, end=7.5),
    Span(name="encode", begin=8.5, end=12.0),
    Span(name="resize", begin=8.5, end=9.0),
    Span(name="publish", begin=11.0, end=13.0),
    Span(name="remember", begin=5.0, end=13.0),
    Span(name="complete", begin=13.0, end=15.0, request="r1"),
]


def test_a_frames_parts_are_its_innermost_calls_and_add_up() -> None:
    found = served(SPANS, 3.5, 14.0)

    parts = partition(found, 3.5, 14.0)

    assert sum(parts.values()) == pytest.approx(10_500)
    assert parts == pytest.approx(
        {
            "ask, event": 500,
            "acquire": 1000,
            "record": 1000,
            "fetch": 1500,
            "decode": 500,
            "event loop, threads": 500,
            "resize": 500,
            "encode": 2000,  # what it does while the answer is published is not waited for
            "publish": 2000,
            "complete, answer": 1000,
        }
    )
    assert found.milliseconds("record", "publish") == pytest.approx(3000)
    assert (found.calls("encode"), found.calls("acquire")) == (1, 0)


def test_a_wait_in_which_nothing_was_completed_is_told() -> None:
    with pytest.raises(LookupError, match="0 requests were completed"):
        served(SPANS, 3.1, 3.2)


def test_overlapping_intervals_count_once() -> None:
    assert covered([(0, 2), (1, 3), (5, 6), (5.5, 5.7), (9, 8)]) == 4


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        (Call("acquire", None, 1.0, 2.0), True),
        (Call("acquire", None, -1.0, 0.5), True),  # an agent that is still asking cannot ask for this one
        (Call("acquire", None, -2.0, -1.0), False),
        (Call("frame", 7, 2.0, 3.0), True),
        (Call("frame", 7, -1.0, 2.0), True),
        (Call("frame", 8, 2.0, 3.0), False),
        (Call("task", None, 2.0, 3.0), True),
        (Call("complete", None, 4.0, 5.0), True),
        (Call("complete", None, -0.5, 0.1), False),
        (Call("acquire", None, 4.5, 5.0), False),
    ],
)
def test_calls_that_an_answer_waited_for(call: Call, *, counts: bool) -> None:
    assert critical([call], 7, 0.0, 4.0) == ([call] if counts else [])


class Context(cvataa.TrackingFunctionShapeContext):  # type: ignore[misc]
    """What the stock agent tells a function of a shape."""

    original_shape_type = "mask"


class Request:
    ar_id = "r1"


class Queue:
    """Calls with the agent's arguments and results."""

    async def acquire(self, _category: str) -> Request:
        return Request()

    async def complete(self, _ar_id: str, _answer: dict[str, object]) -> None:
        pass
