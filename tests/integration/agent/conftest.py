"""A small world: a stand-in CVAT with a task and a function, a real Redis, and agents as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cvat_standin.annotator import Annotator, Shape
from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.fixtures import cvat
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import RedisServer, redis_server

__all__ = ["cvat", "redis_server"]

HEIGHT, WIDTH, LENGTH = 90, 120, 24


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

    def annotator(self) -> Annotator:
        return Annotator(self.cvat.url, self.ann.username, self.ann.password)


@pytest.fixture
def world(cvat: CVAT, redis_server: RedisServer, tmp_path: Path) -> Iterator[World]:
    ann, robot = cvat.add_user("ann"), cvat.add_user("robot")
    task = cvat.add_task([picture(frame) for frame in range(LENGTH)], "ann", assignees=["robot"])
    function = Caller(cvat.url, robot.token).create_function(visibility="public")
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text(robot.token + "\n")
    agents: list[AgentProcess] = []

    def new_agent(**settings: str) -> AgentProcess:
        agent = AgentProcess(
            tmp_path / f"agent-{len(agents)}",
            {
                "CVAT_URL": cvat.url,
                "CVAT_CREDENTIALS_DIR": str(credentials),
                "FUNCTION_ID": str(function),
                "REDIS_URL": redis_server.url,
                **settings,
            },
        )
        agents.append(agent)
        return agent

    yield World(cvat, redis_server, ann, robot, task, function, credentials, new_agent)
    for agent in agents:
        agent.kill()
