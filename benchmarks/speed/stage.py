"""What stands around the agents: a CVAT in a process of its own, a durable Redis, annotators with tasks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path

import torch

from benchmarks.speed import redis_alone
from benchmarks.speed.agents import Agent, TracedAgent, stock_agent
from benchmarks.speed.clip import Clip
from benchmarks.speed.models import Model
from tests.cvat_standin.annotator import Annotator, Shape, TrackedFrame
from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.waiting import wait_for
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import DURABLE, RedisServer

PATIENCE = 3600.0
"""Seconds that an annotator waits for a frame; published models are slow on a CPU."""

_READY = "CVAT stand-in ready on "


@dataclass(frozen=True, slots=True)
class Asked:
    """A frame that an annotator asked for, in seconds of `time.perf_counter`; the first is the prompt's."""

    frame: int
    asked: float
    answered: float

    @property
    def milliseconds(self) -> float:
        """How long the annotator waited."""
        return 1000 * (self.answered - self.asked)


@dataclass(slots=True)
class Session:
    """One action of an annotator."""

    frames: list[Asked] = field(default_factory=list)

    @property
    def tracked(self) -> list[Asked]:
        """The frames after the prompt's."""
        return self.frames[1:]

    @property
    def frame(self) -> float:
        """Milliseconds that the annotator waited for a tracked frame, mean."""
        return sum(frame.milliseconds for frame in self.tracked) / len(self.tracked)

    @property
    def waited(self) -> float:
        """Milliseconds that the annotator waited for a frame, the prompts' included, mean."""
        return sum(frame.milliseconds for frame in self.frames) / len(self.frames)

    @property
    def apart(self) -> list[float]:
        """Milliseconds from one tracked frame to the next, the browser's pause included."""
        moments = [frame.answered for frame in self.tracked]
        return [1000 * (after - before) for before, after in pairwise(moments)]


@dataclass(frozen=True, slots=True)
class RedisAlone:
    """Milliseconds of calls to Redis: a PING, a publish by a bare socket, one by redis-py."""

    ping: float
    bare: float
    library: float


class Stage:
    """A CVAT and a Redis; `robot` owns the functions."""

    def __init__(self, folder: Path, cvat: CVAT, redis: RedisServer, device: torch.device) -> None:
        self.cvat = cvat
        self.device = device
        self.robot = cvat.add_user("robot")
        self._folder = folder
        self._redis = redis
        self._numbers = count()
        self._people: dict[str, Account] = {}
        self._credentials = folder / "credentials"
        self._credentials.mkdir()
        (self._credentials / "token").write_text(self.robot.token)

    @property
    def port(self) -> int:
        """CVAT's."""
        return int(self.cvat.url.rpartition(":")[2])

    def redis_alone(self, objects: int) -> RedisAlone:
        """Ask Redis with no agent around it; so many answers are published at once."""
        with self._redis.client() as client:
            return RedisAlone(
                ping=redis_alone.round_trip(client),
                bare=redis_alone.bare_publication(client, objects),
                library=redis_alone.publication(self._redis.url, objects),
            )

    def function(self) -> int:
        """A tracking function that everybody may use."""
        return Caller(self.cvat.url, self.robot.token).create_function(
            visibility="public", supported_shape_types=["mask"]
        )

    def task(self, clip: Clip, who: str = "ann", *, length: int | None = None) -> int:
        """A new task of somebody with the clip's frames, repeated up to a length."""
        self._person(who)
        return self.cvat.add_task(clip.jpegs, who, assignees=["robot"], length=length)

    @contextmanager
    def ours(
        self, function: int, model: Model, url: str | None = None, *, threads: int | None = None
    ) -> Iterator[Agent]:
        """Our agent, ready; it asks CVAT at `url`."""
        agent = self.agent(function, model, url, threads=threads)
        agent.start()
        try:
            agent.wait_ready()
            yield agent
            agent.stop()
        finally:
            agent.kill()

    @contextmanager
    def traced(self, function: int, model: Model, **more: str) -> Iterator[TracedAgent]:
        """Our agent, ready, whose calls are written down; `more` are variables of `traced_agent`."""
        agent = TracedAgent(self._new_folder(), self._settings(function, model, None), more)
        agent.start()
        try:
            agent.wait_ready()
            yield agent
            agent.stop()
        finally:
            agent.kill()

    @contextmanager
    def stock(
        self, function: int, model: Model, url: str | None = None, *, threads: int | None = None
    ) -> Iterator[None]:
        """The stock agent with the same model, ready; it asks CVAT at `url`."""
        asks = url or self.cvat.url
        with stock_agent(
            self._new_folder(),
            self.cvat,
            url=asks,
            function=function,
            token=self.robot.token,
            model=model,
            device=self.device,
            threads=threads,
        ):
            yield

    def agent(
        self, function: int, model: Model, url: str | None = None, *, threads: int | None = None
    ) -> Agent:
        """Our agent, not started; `threads` are PyTorch's, by default one for each core."""
        return Agent(self._new_folder(), self._settings(function, model, url), threads)

    def track(
        self,
        function: int,
        task: int,
        shapes: list[Shape],
        frames: int,
        *,
        who: str = "ann",
        pause: float = 0.0,
        start: int = 0,
    ) -> Session:
        """Let somebody track `frames` frames from `start` on, with a browser that pauses so many seconds."""
        person = self._person(who)
        session = Session()

        def note(frame: TrackedFrame) -> None:
            now = time.perf_counter()
            session.frames.append(Asked(frame.frame, now - frame.milliseconds / 1000, now))
            if pause:
                time.sleep(pause)

        with Annotator(self.cvat.url, person.username, person.password, call_seconds=PATIENCE) as annotator:
            annotator.track(function, task, shapes, start=start, stop=start + frames - 1, on_frame=note)
        return session

    def _person(self, who: str) -> Account:
        if who not in self._people:
            self._people[who] = self.cvat.add_user(who)
        return self._people[who]

    def _settings(self, function: int, model: Model, url: str | None) -> dict[str, str]:
        return {
            "CVAT_URL": url or self.cvat.url,
            "CVAT_CREDENTIALS_DIR": str(self._credentials),
            "FUNCTION_ID": str(function),
            "REDIS_URL": self._redis.url,
            "KEY_PREFIX": f"s2t:{{{function}}}:",
            "LEASE_SECONDS": "15",
            "DEVICE": str(self.device),
            **model.settings(),
        }

    def _new_folder(self) -> Path:
        return self._folder / f"process-{next(self._numbers)}"


@contextmanager
def stage(folder: Path, device: torch.device) -> Iterator[Stage]:
    """Start CVAT and Redis; the append-only file is on, as the chart has it."""
    with ExitStack() as stack:
        folder.mkdir(parents=True)
        redis = RedisServer(folder, *DURABLE)
        redis.start()
        stack.callback(redis.kill)
        cvat = CVAT(stack.enter_context(_cvat(folder / "cvat.log")))
        stack.callback(cvat.close)
        yield Stage(folder, cvat, redis, device)


@contextmanager
def _cvat(log: Path) -> Iterator[str]:
    """The stand-in as a process; yields its address."""
    command = [sys.executable, "-m", "tests.cvat_standin", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield wait_for(lambda: _address(log), "the CVAT stand-in", within=30)
    finally:
        process.terminate()
        process.wait(20)


def _address(log: Path) -> str | None:
    first = log.read_text().partition("\n")[0]
    return first.removeprefix(_READY) if first.startswith(_READY) else None
