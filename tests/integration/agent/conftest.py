"""A small world: a stand-in CVAT with a task and a function, a real Redis, and agents as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cvat_standin.annotator import Annotator, OnFrame, Shape
from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.fixtures import cvat
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import RedisServer, redis_server

__all__ = ["cvat", "redis_server"]

HEIGHT, WIDTH, LENGTH = 90, 120, 24

Shapes: TypeAlias = tuple[Shape | None, ...]


def disk(frame: int) -> tuple[float, float, float]:
    """Centre and radius of the object that moves to the right."""
    return 25.0 + 2 * frame, 30.0 + 0.5 * frame, 14.0


def square(frame: int) -> tuple[int, int, int]:
    """Left, top and side of the object that moves to the left."""
    return 85 - 2 * frame, 55, 22


def disk_bitmap(frame: int) -> NDArray[np.bool_]:
    """The disk's pixels, (height, width)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    x, y, radius = disk(frame)
    inside: NDArray[np.bool_] = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return inside


def square_bitmap(frame: int) -> NDArray[np.bool_]:
    """The square's pixels, (height, width)."""
    left, top, side = square(frame)
    bitmap = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    bitmap[top : top + side, left : left + side] = True
    return bitmap


def picture(frame: int) -> NDArray[np.uint8]:
    """One frame, (height, width, 3): a red disk and a blue square over noise that stays."""
    image = np.random.default_rng(7).integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[square_bitmap(frame)] = (40, 60, 220)
    image[disk_bitmap(frame)] = (220, 40, 30)
    return image


def drawn_shapes() -> list[Shape]:
    """A mask, a polygon and a second mask, as the annotator draws them on frame 0."""
    left, top, side = square(0)
    right, bottom = left + side - 1, top + side - 1
    return [
        Shape.mask(disk_bitmap(0)),
        Shape.polygon((left, top), (right, top), (right, bottom), (left, bottom)),
        Shape.mask(square_bitmap(0)),
    ]


@dataclass(frozen=True, slots=True)
class World:
    """Ann annotates her task; the account `robot` serves the function that she uses."""

    cvat: CVAT
    redis: RedisServer
    ann: Account
    robot: Account
    task: int
    function: int
    credentials: Path
    new_agent: Callable[..., AgentProcess]
    new_toy: Callable[..., InProcessAgent]
    meanwhile: Callable[[Callable[[], object]], object]

    def annotator(self) -> Annotator:
        return Annotator(self.cvat.url, self.ann.username, self.ann.password)

    def track(self, on_frame: OnFrame = lambda _frame: None, *, stop: int = LENGTH - 1) -> list[Shapes]:
        """Let Ann track three objects from frame 0; return what each later frame got."""
        with self.annotator() as annotator:
            track = annotator.track(
                self.function, self.task, drawn_shapes(), start=0, stop=stop, on_frame=on_frame
            )
        return [frame.shapes for frame in track.frames[1:]]

    def run(self, **parameters: object) -> dict[str, Any]:
        """One call of the action; raises `RunError` with the sentence that Ann sees."""
        with self.annotator() as annotator:
            return annotator.run(self.function, {"task": self.task, **parameters})

    def begin(self) -> list[str]:
        """Begin to track from frame 0; return the states."""
        states: list[str] = self.run(
            type="init_tracking", frame=0, shapes=[shape.to_json() for shape in drawn_shapes()]
        )["states"]
        return states


@pytest.fixture
def world(cvat: CVAT, redis_server: RedisServer, tmp_path: Path) -> Iterator[World]:
    ann, robot = cvat.add_user("ann"), cvat.add_user("robot")
    task = cvat.add_task([picture(frame) for frame in range(LENGTH)], "ann", assignees=["robot"])
    function = Caller(cvat.url, robot.token).create_function(visibility="public")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text(robot.token + "\n")
    agents: list[AgentProcess] = []

    def new_agent(*, plain: bool = False, **settings: str) -> AgentProcess:
        agent = AgentProcess(
            tmp_path / f"agent-{len(agents)}",
            {
                "CVAT_URL": cvat.url,
                "CVAT_CREDENTIALS_DIR": str(credentials),
                "FUNCTION_ID": str(function),
                "REDIS_URL": redis_server.url,
                **settings,
            },
            plain=plain,
        )
        agents.append(agent)
        return agent

    toys: list[InProcessAgent] = []

    def new_toy(**options: Any) -> InProcessAgent:
        toy = InProcessAgent(
            cvat_url=cvat.url,
            credentials=credentials,
            function=function,
            **{"redis_url": redis_server.url, **options},
        )
        toys.append(toy)
        return toy

    acting: list[Future[object]] = []
    pool = ThreadPoolExecutor()

    def meanwhile(act: Callable[[], object]) -> None:
        acting.append(pool.submit(act))

    yield World(cvat, redis_server, ann, robot, task, function, credentials, new_agent, new_toy, meanwhile)
    for act in acting:
        act.result(60)
    pool.shutdown()
    cvat.faults.clear()
    for agent in agents:
        agent.kill()
    for toy in toys:
        toy.stop()
