"""What the door makes of callers that are slow, gone, too many, or strangers; behind it answers a stub."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import random
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import aiohttp
import pytest
from aiohttp import web
from pydantic import JsonValue

from sam2_agent.adapters import http_door
from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.core import door as doors
from sam2_agent.core.calls import Call
from sam2_agent.core.door import Door
from sam2_agent.core.keeper import LeaseKeeper
from sam2_agent.core.lease import Lease
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import DeviceOutOfMemory, GaveUp
from tests.simulation.redis import SimRedis
from tests.unit.agent.serverless.one_agent import One

P = ParamSpec("P")
T = TypeVar("T")

BODY = json.dumps({"image": "aGVsbG8=", "shapes": [[1, 2, 3, 4]]}).encode()


@dataclass
class Stub:
    """Answers when it may; `error` is raised instead."""

    may: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    error: Exception | None = None

    async def answer(self, call: Call, _token: str) -> dict[str, JsonValue]:
        self.asked += 1
        await self.may.wait()
        if self.error:
            raise self.error
        return {"shapes": [], "states": [len(call.image)]}


@dataclass
class Scene:
    """A door that is open, and what is behind it."""

    stub: Stub
    door: Door
    status: Status
    url: str
    session: aiohttp.ClientSession
    ended: list[GaveUp]
    metrics: Metrics

    def counted(self, outcome: str) -> float:
        """How many calls ended so."""
        labels = {"type": "call", "outcome": outcome}
        return self.metrics.registry.get_sample_value("sam2_agent_request_seconds_count", labels) or 0

    async def post(self, body: bytes = BODY, headers: dict[str, str] | None = None) -> tuple[int, str]:
        async with self.session.post(self.url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    async def begun(self, body: bytes = BODY) -> asyncio.Task[tuple[int, str]]:
        """A call that the stub has in hand."""
        asked = self.stub.asked
        call = asyncio.ensure_future(self.post(body))
        await until(lambda: self.stub.asked > asked)
        return call


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (what it waits for rings no bell)
            await asyncio.sleep(0.005)


async def in_a_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(function, *args, **kwargs)


@asynccontextmanager
async def opened(token_file: Path | None = None) -> AsyncIterator[Scene]:
    clock = BootClock()
    status = Status("test", clock, peers=("Redis",), phase="Serving")
    status.lease = Lease("token", 1, clock.now() + 3600)
    events = Metrics(status)
    troubles = Troubles(status, events)
    keeper = LeaseKeeper(
        store=One(SimRedis(lambda: 0.0)).store,
        status=status,
        clock=clock,
        rng=random.Random(1),
        seconds=15,
        troubles=troubles,
        on_recorded=lambda _: None,
    )
    stub, ended = Stub(), list[GaveUp]()
    door = Door(
        serverless=stub,
        compute=in_a_thread,
        keeper=keeper,
        clock=clock,
        status=status,
        events=events,
        troubles=troubles,
    )
    async with (
        http_door.serve(door, 0, token_file, ended.append) as port,
        aiohttp.ClientSession() as session,
    ):
        yield Scene(stub, door, status, f"http://127.0.0.1:{port}/", session, ended, events)
        stub.may.set()


async def test_without_a_token_nobody_comes_in(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("\n")
    async with opened(file) as scene:
        scene.stub.may.set()
        status, sentence = await scene.post(headers={http_door.TOKEN_HEADER: ""})
        assert (status, "no token" in sentence) == (503, True)
        file.unlink()
        assert (await scene.post())[0] == 503
        file.write_text("ünlike\n")
        assert (await scene.post(headers={http_door.TOKEN_HEADER: "ünlike"}))[0] == 200
        assert scene.stub.asked == 1


async def test_a_refused_callers_connection_takes_the_next_call(tmp_path: Path) -> None:
    """Also where its body, which nobody wanted, is large."""
    file = tmp_path / "token"
    file.write_text("secret")
    async with opened(file) as scene:
        scene.stub.may.set()
        for _ in range(3):
            async with scene.session.post(scene.url, data=io.BytesIO(bytes(5_000_000))) as refused:
                assert refused.status == 401
            assert (await scene.post(headers={http_door.TOKEN_HEADER: "secret"}))[0] == 200


async def test_who_leaves_while_it_sends_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as scene:
        port = int(scene.url.rsplit(":", 1)[1].strip("/"))
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        await until(lambda: scene.door._waiting == 1)
        writer.transport.abort()
        await until(lambda: scene.door._waiting == 0)
        scene.stub.may.set()
        assert (await scene.post())[0] == 200
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


async def test_who_sends_slowly_gives_its_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_door, "BODY_SECONDS", 0.1)
    async with opened() as scene:
        port = int(scene.url.rsplit(":", 1)[1].strip("/"))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
        assert (await reader.readline()).split()[1] == b"503"
        assert b"did not arrive in time" in await reader.readuntil(b"agent.")
        writer.close()


async def test_a_compressed_call_is_refused_unread() -> None:
    async with opened() as scene:
        assert (await scene.post(headers={"Content-Encoding": "gzip"}))[0] == 400
        assert scene.stub.asked == 0


async def test_too_many_callers_are_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "MAX_WAITING", 2)
    monkeypatch.setattr(doors, "MAX_WAITING_BYTES", len(BODY) + 1000)
    async with opened() as scene:
        first = await scene.begun()
        assert (await scene.post(BODY + b" " * 1000))[0] == 503
        second = asyncio.ensure_future(scene.post())
        await until(lambda: scene.door._waiting == 2)
        async with scene.session.post(scene.url, data=BODY) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert "2 calls wait" in await answer.text()
        scene.stub.may.set()
        assert [(await each)[0] for each in (first, second)] == [200, 200]
        assert (await scene.post())[0] == 200


async def test_what_waits_takes_no_more_room_than_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[web.Request] = []
    read = http_door._body

    async def noted(request: web.Request) -> bytearray:
        body = await read(request)
        bodies.append(request)
        return body

    monkeypatch.setattr(http_door, "_body", noted)
    count = 2**17
    large = json.dumps({"image": "aGVsbG8=", "shapes": [[1.5] * count]}).encode()
    async with opened() as scene:
        tracemalloc.start()
        try:
            first = await scene.begun()
            waiting = [asyncio.ensure_future(scene.post(large)) for _ in range(12)]
            await until(lambda: len(bodies) == 13)
            scene.stub.may.set()
            assert {(await each)[0] for each in (first, *waiting)} == {200}
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 12 * 3 * len(large), (
        "each number takes five times its digits, and that of one call at a time"
    )


async def test_a_call_whose_caller_left_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[web.Request] = []
    read = http_door._body

    async def noted(request: web.Request) -> bytearray:
        requests.append(request)
        return await read(request)

    monkeypatch.setattr(http_door, "_body", noted)
    async with opened() as scene:
        first = await scene.begun()
        second = asyncio.ensure_future(scene.post())
        await until(lambda: scene.door._waiting == 2)
        second.cancel()
        await until(lambda: http_door._has_left(requests[1]))
        scene.stub.may.set()
        assert (await first)[0] == 200
        await until(lambda: scene.door._waiting == 0)
        assert scene.stub.asked == 1
        assert (scene.counted("completed"), scene.counted("caller left")) == (1, 1)
        assert scene.counted("unavailable") == 0


async def test_without_the_lease_not_even_the_body_is_read() -> None:
    async with opened() as scene:
        scene.status.lease = None
        status, sentence = await scene.post(b"nonsense")
        assert (status, sentence) == (503, "Another agent serves this tracker now.\n")


async def test_what_is_too_much_for_the_device_ends_the_call_and_not_the_agent() -> None:
    async with opened() as scene:
        scene.stub.may.set()
        for _ in range(2):
            scene.stub.error = DeviceOutOfMemory("The device is full.")
            assert [(await scene.post())[0] for _ in range(2)] == [400, 400]
            scene.stub.error = None
            assert (await scene.post())[0] == 200
        scene.stub.error = DeviceOutOfMemory("The device is full.")
        assert [(await scene.post())[0] for _ in range(3)] == [400, 400, 503]
        assert scene.ended == [scene.stub.error]


async def test_a_door_that_closes_lets_the_call_in_hand_finish_and_sends_others_on() -> None:
    """A successor answers them; who stops has no time for a queue of calls."""
    async with opened() as scene:
        call = await scene.begun()
        waiting = [asyncio.ensure_future(scene.post()) for _ in range(3)]
        await until(lambda: scene.door._waiting == 4)
        closing = asyncio.ensure_future(scene.door.closed())
        await asyncio.wait([closing], timeout=0)
        assert (await scene.post())[0] == 503
        assert not closing.done()
        scene.stub.may.set()
        assert (await call)[0] == 200
        await closing
        assert [(await each)[0] for each in waiting] == [503] * 3
        assert scene.stub.asked == 1
