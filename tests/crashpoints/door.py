"""The same session at the door of agents that are called: a caller asks one after the other until one does.

Whoever calls again, or calls another agent, must be told the same: so what agents tell is compared not only
with an undisturbed run, but also call by call, whether anybody heard it or not.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from PIL import Image

from tests.crashpoints import session
from tests.crashpoints.ledger import Ledger
from tests.crashpoints.stage import PATIENCE_SECONDS, Scene, Stage
from tests.crashpoints.wire import Wire
from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless import AgentDoor, LambdaManager
from tests.cvat_standin.serverless.annotator import PASSING
from tests.integration.agent.agent_process import PREFIX
from tests.ports import free_port

CALL_SECONDS = 3.0
"""A call to an agent that was stopped hangs; then the caller turns to the next one."""


@dataclass(slots=True)
class DoorLedger(Ledger):
    """Of an agent that is called: it has nothing left to do whenever nobody calls."""

    @property
    def idle(self) -> bool:
        """Whether the agent may be called."""
        return self.leads

    def answered(self, path: str, body: bytes, status_line: str, answer: bytes) -> None:
        """Note what the agent told whoever went on with a track."""
        if path == "/" and status_line.split(" ")[1] == "200" and json.loads(body)["states"]:
            self.completions.append((hashlib.sha256(body).hexdigest(), answer))


class DoorScene(Scene):
    """Agents that are called, and a caller."""

    def _wired(self) -> tuple[Wire, dict[str, str]]:
        port = free_port()
        wire = Wire(
            self._stage.loop,
            cvat_url=self._stage.cvat.url,
            redis_port=self._stage.redis.port,
            key_prefix=PREFIX,
            door_port=port,
            ledger=DoorLedger(),
        )
        return wire, {"INTERFACE": "serverless", "DOOR_PORT": str(port)}

    def play(self, before: Callable[[int], None], record: session.Record) -> session.Record:
        """Let the caller go through the session."""
        return session.run(Caller(self), before, record)


class DoorStage(Stage):
    """A stage whose agents are called."""

    __slots__ = ()

    def _scene(self, function: int) -> Scene:
        return DoorScene(self, function)


@dataclass
class Caller:
    """CVAT as it stands before some agents, the newest of which it tries first."""

    scene: DoorScene
    _door: AgentDoor = field(default_factory=lambda: AgentDoor("", seconds=CALL_SECONDS))

    def __post_init__(self) -> None:
        self._manager = LambdaManager(self._door, now=lambda: 0.0)  # what is signed again looks the same

    def __call__(
        self, frame: int, *, shapes: Sequence[Mapping[str, Any]] = (), states: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Call until an agent answers; raises `RunError` where one refuses, or none does for long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for attempt in count():
            agents = [agent for agent in self.scene.agents if agent.wire.door_url]
            self._door.url = agents[-1 - attempt % len(agents)].wire.door_url or ""
            try:
                return self._manager.call("agent", encoded(frame), shapes=shapes, states=states)
            except RunError as error:
                if error.status not in PASSING or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)
        raise AssertionError("counting does not end")


@cache
def encoded(frame: int) -> bytes:
    """A frame as CVAT sends it."""
    file = io.BytesIO()
    Image.fromarray(session.pictures()[frame]).save(file, "PNG")
    return file.getvalue()
