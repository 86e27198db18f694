"""The stage of a session: a stand-in CVAT with a task, a real Redis, and agents with a wire each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tests.crashpoints import session
from tests.crashpoints.wire import Loop, Wire
from tests.cvat_standin.annotator import Annotator
from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.control_models import RequestRecord
from tests.cvat_standin.server import serving_in_thread
from tests.integration.agent.agent_process import PREFIX, AgentProcess
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import RedisServer

HandedOutAgain = Literal["same id", "new id", "never"]

LEASE_SECONDS = 2.0
"""The agent gives Redis a part of this time to answer; with less it would not get by on a busy machine."""

PATIENCE_SECONDS = 60.0
LEFT_OVER_SECONDS = 15.0
MEMORIES_SECONDS = 3.0
"""How long to wait for the memories of a request after its answer."""


class Agent:
    """An agent process behind a wire of its own."""

    def __init__(self, process: AgentProcess, wire: Wire) -> None:
        self.process = process
        self.wire = wire

    def wait_at_rest(self, unless: Callable[[], bool] = lambda: False, *, beats: int = 3) -> None:
        """Return when the agent is seen at rest `beats` times in a row, or when `unless` says so.

        Memories that were not written within a while never will be: Redis was too slow, and they are only a
        cache.
        """
        at_rest = 0

        def rested() -> bool:
            nonlocal at_rest
            at_rest = at_rest + 1 if self.wire.at_rest else 0
            return at_rest >= beats

        deadline = time.monotonic() + PATIENCE_SECONDS
        idle_since = time.monotonic()
        while not unless() and not rested():
            if not self.wire.ledger.idle:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > MEMORIES_SECONDS:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"the agent does not come to rest: {self.process.log_file.read_text()}")
            time.sleep(0.003)

    def end(self) -> None:
        """Kill the process, whatever it does."""
        self.process.kill()
        self.wire.close()


@dataclass(slots=True)
class Stage:
    """Everything but agents; one session after the other is played on it."""

    cvat: CVAT
    redis: RedisServer
    loop: Loop
    folder: Path
    ann: Account
    robot: Account
    task: int
    played: int = 0

    @contextmanager
    def scene(self, again: HandedOutAgain = "same id") -> Iterator[Scene]:
        """A function and an empty Redis for one session; its agents are ended with it.

        `again` is how CVAT hands a request out again to the agent id that holds it.
        """
        self.played += 1
        self.cvat.set_redelivery(to_same_agent=again != "never", new_id=again == "new id")
        with self.redis.client() as client:
            client.flushall()
            client.script_flush()
        function = Caller(self.cvat.url, self.robot.token).create_function(
            f"Tracker {self.played}",
            visibility="public",
            supported_shape_types=["mask", "polygon", "rectangle"],
        )
        scene = self._scene(function)
        try:
            yield scene
        finally:
            for agent in scene.agents:
                agent.end()

    def _scene(self, function: int) -> Scene:
        return Scene(self, function)


class Scene:
    """One session's function and agents."""

    def __init__(self, stage: Stage, function: int) -> None:
        self.function = function
        self.agents: list[Agent] = []
        self._stage = stage

    def start_agent(self, holder: str, prepare: Callable[[Agent], None] = lambda _agent: None) -> Agent:
        """Start an agent; `prepare` may set a trap before it makes its first call."""
        stage = self._stage
        wire, settings = self._wired()
        process = AgentProcess(
            stage.folder / f"{stage.played}-{len(self.agents)}",
            {
                "REDIS_URL": wire.redis_url,
                "HOLDER": holder,
                "LEASE_SECONDS": str(LEASE_SECONDS),
                **settings,
            },
            threads=1,
        )
        agent = Agent(process, wire)
        self.agents.append(agent)
        prepare(agent)
        process.start()
        return agent

    def _wired(self) -> tuple[Wire, dict[str, str]]:
        """A wire for a new agent, and the settings by which the agent is on it."""
        stage = self._stage
        wire = Wire(stage.loop, cvat_url=stage.cvat.url, redis_port=stage.redis.port, key_prefix=PREFIX)
        return wire, {
            "CVAT_URL": wire.cvat_url,
            "CVAT_CREDENTIALS_DIR": str(stage.folder / "credentials"),
            "FUNCTION_ID": str(self.function),
        }

    def annotator(self) -> Annotator:
        """Ann at her page."""
        ann = self._stage.ann
        patience = PATIENCE_SECONDS + 10.0
        return Annotator(self._stage.cvat.url, ann.username, ann.password, call_seconds=patience)

    def play(self, before: Callable[[int], None], record: session.Record) -> session.Record:
        """Let Ann go through the session."""
        with self.annotator() as annotator:
            ask = session.at_queue(annotator, self.function, self._stage.task)
            return session.run(ask, before, record)

    def requests(self) -> list[RequestRecord]:
        """What CVAT has of the session's requests."""
        return self._stage.cvat.requests(self.function)

    def left_over(self) -> list[str]:
        """What stays unfinished: for a while, a late agent may record a request again."""
        deadline = time.monotonic() + LEFT_OVER_SECONDS
        while (found := self.unfinished()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def unfinished(self) -> list[str]:
        """The requests that CVAT does not call finished now, and those that agents have recorded."""
        with self._stage.redis.client() as client:
            recorded = [f"recorded: {key.decode()}" for key in client.hkeys(f"{PREFIX}requests")]
        return recorded + [
            f"{request.status}: {request.id} {request.exc_info}"
            for request in self.requests()
            if request.status != "finished"
        ]


@contextmanager
def stage(kind: type[Stage] = Stage) -> Iterator[Stage]:
    """Set the stage in a temporary folder; nothing of it stays."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        cvat = stack.enter_context(closing(CVAT(stack.enter_context(serving_in_thread()))))
        (folder / "redis").mkdir()
        redis = RedisServer(folder / "redis")
        redis.start()
        stack.callback(redis.kill)
        loop = stack.enter_context(closing(Loop()))
        ann, robot = cvat.add_user("ann"), cvat.add_user("robot")
        (folder / "credentials").mkdir()
        (folder / "credentials" / "token").write_text(robot.token)
        task = cvat.add_task(session.pictures(), "ann", assignees=["robot"])
        yield kind(cvat, redis, loop, folder, ann, robot, task)
