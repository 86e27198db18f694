"""Annotators: they run actions of CVAT's page, and compare every answer with the undisturbed one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sam2_agent.core.requests import Category
from tests.simulation.cvat import CVAT, Complaint
from tests.simulation.reference import Drawn, ShapeJson, Walk
from tests.simulation.tasks import FRAMES, HEIGHT, WIDTH
from tests.simulation.trace import Trace
from tests.simulation.witness import Witness

ATTEMPTS = 60
"""How often an annotator runs a failing action again before giving up on it."""

CALM_PAUSE = 0.5
"""In calm times there is nothing to wait for."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a track is: the frame, the states that CVAT handed back, and the undisturbed tracks."""

    frame: int
    states: tuple[str, ...]
    walks: tuple[Walk, ...]


@dataclass(frozen=True, slots=True)
class Action:
    """What an annotator wants: the objects drawn on a frame, tracked.

    `moves` are the frames to track, each with how many answers back its states are from.
    """

    task: int
    first: int
    objects: tuple[Drawn, ...]
    moves: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Rows:
    """Rows of shapes, one for each frame asked for."""

    expected: list[list[object]] = field(default_factory=list)
    got: list[list[object]] = field(default_factory=list)


@dataclass(slots=True)
class Annotator:
    """Somebody at CVAT's page; `expected` and `got` have a row of shapes for each frame asked for."""

    name: str
    rng: Random
    cvat: CVAT
    witness: Witness
    trace: Trace
    pause: float
    """Seconds between two of its calls, on average."""
    compare: bool
    """Whether answers are known beforehand; else only that there is one."""
    category: Category = "interactive"
    expected: list[list[object]] = field(default_factory=list)
    got: list[list[object]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    branches: int = 0
    """How many tracks it went on with from an earlier frame."""
    done: bool = False

    async def work(self, actions: int) -> None:
        """Track objects, that many times; now and then correct one and run again from there."""
        await self._think()
        for _ in range(actions):
            task = self.rng.choice(list(FRAMES))
            objects = [self._draw() for _ in range(self.rng.choice((1, 1, 2, 3)))]
            await self._act(self._action(task, objects))
            if self.rng.random() < 0.3:
                objects[self.rng.randrange(len(objects))] = self._draw()
                await self._act(self._action(task, objects))
        self.done = True

    def _action(self, task: int, objects: list[Drawn]) -> Action:
        first = self.rng.randrange(FRAMES[task] - 1)
        return Action(task, first, tuple(objects), tuple(self._moves(FRAMES[task], first)))

    async def _act(self, action: Action) -> None:
        """Run an action, again after each complaint, until it has an answer for each of its frames."""
        for _ in range(ATTEMPTS):
            rows = _Rows()
            try:
                await self._try(action, rows)
            except Complaint as complaint:
                self.complaints.append(str(complaint))
                self.trace.note(self.name, "is told:", complaint)
                if self._asked_in_calm:
                    self.witness.complain(f"{self.name} is told in calm times: {complaint}")
                await self._think()
                continue
            self.expected += rows.expected
            self.got += rows.got
            return
        self.expected += [[None] * len(action.objects)] * len(action.moves)

    async def _try(self, action: Action, rows: _Rows) -> None:
        task, first = action.task, action.first
        shapes = [drawn.to_json() for drawn in action.objects]
        answer = await self._ask({"type": "init_tracking", "task": task, "frame": first, "shapes": shapes})
        walks = tuple(Walk.begin(task, FRAMES[task], first, drawn) for drawn in action.objects)
        positions = [Position(first, tuple(answer["states"]), walks)]
        for back, frame in action.moves:
            here = positions[max(0, len(positions) - 1 - back)]
            self.branches += len(action.objects) if back else 0
            if len(here.states) > 1 and self.rng.random() < 0.1:
                await self._one_alone(task, frame, here)
            answer = await self._ask(
                {"type": "track", "task": task, "frame": frame, "states": list(here.states)}
            )
            walks = tuple(walk.on(frame) for walk in here.walks)
            wanted: list[ShapeJson] = [walk.shape for walk in walks]
            rows.expected.append(list(wanted if self.compare else answer["shapes"]))
            rows.got.append(list(answer["shapes"]))
            if rows.expected[-1] != rows.got[-1]:
                self.witness.complain(f"{self.name} got a wrong mask on frame {frame}")
            positions.append(Position(frame, tuple(answer["states"]), walks))

    async def _one_alone(self, task: int, frame: int, here: Position) -> None:
        """Ask for one of several objects: when all are asked for, its answer stands already."""
        place = self.rng.randrange(len(here.states))
        answer = await self._ask(
            {"type": "track", "task": task, "frame": frame, "states": [here.states[place]]}
        )
        if self.compare and answer["shapes"] != [here.walks[place].on(frame).shape]:
            self.witness.complain(f"{self.name} got a wrong mask on frame {frame}")

    async def _ask(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._think()
        self._asked_in_calm = self.witness.calm_since is not None
        return await self.cvat.run(self.name, self.category, params)

    _asked_in_calm: bool = False

    async def _think(self) -> None:
        calm = self.witness.calm_since is not None
        await asyncio.sleep(self.rng.expovariate(1 / min(self.pause, CALM_PAUSE if calm else self.pause)))

    def _draw(self) -> Drawn:
        x1, y1 = self.rng.randrange(WIDTH - 3), self.rng.randrange(HEIGHT - 3)
        x2, y2 = self.rng.randint(x1 + 1, WIDTH), self.rng.randint(y1 + 1, HEIGHT)
        return Drawn(self.rng.choice(("mask", "rectangle")), (x1, y1, x2, y2))

    def _moves(self, frames: int, first: int) -> list[tuple[int, int]]:
        """The frames to track: each with how many answers back its states are from.

        Mostly the next frame from the newest states; sometimes the same request again, a step back, a frame
        left out, a frame before.
        """
        moves: list[tuple[int, int]] = []
        line = [first]
        # Now and then further than SAM2's object pointers look back.
        for _ in range(self.rng.randint(6, 12) if self.rng.random() < 0.9 else self.rng.randint(17, 24)):
            drawn = self.rng.random()
            back = 0
            if drawn < 0.08 and len(line) > 1:
                back = 1
            elif drawn < 0.16:
                back = self.rng.randrange(len(line))
            here = line[len(line) - 1 - back]
            frame = here + 1 if self.rng.random() < 0.9 else self.rng.randrange(frames)
            if back == 1:
                frame = line[-1]
            frame %= frames
            moves.append((back, frame))
            line.append(frame)
        return moves
