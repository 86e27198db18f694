"""What tests of faults share: routes, moments, hurried time, and the judgement."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sam2_agent.adapters.clock import BootClock
from sam2_agent.core.patience import Patience
from tests import fault_table
from tests.cvat_standin.annotator import RunError, TrackedFrame
from tests.cvat_standin.control_models import RequestRecord
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import Shapes, World, drawn_shapes
from tests.samples import FULL
from tests.toy_tracker import ToyTracker

T = TypeVar("T")

QUEUE = "POST /api/functions/queues/{id}/requests"
ACQUIRE, COMPLETE, FAIL = (
    f"{QUEUE}/acquire",
    f"{QUEUE}/{{request_id}}/complete",
    f"{QUEUE}/{{request_id}}/fail",
)
FRAME = "GET /api/tasks/{id}/data/"
META = "GET /api/tasks/{id}/data/meta"
WATCH = "GET /api/functions/queues/{id}/watch"

PATIENT = Patience(lease=3.0, poll=0.5, request=60.0)

_UNDISTURBED: dict[int, list[Shapes]] = {}


def some(variants: Sequence[T], count: int) -> Sequence[T]:
    """The first of the variants, or all of them in a full run."""
    return variants if FULL else variants[:count]


class HurriedClock:
    """Time that passes many times as fast; Redis keeps its own."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def now(self) -> float:
        return self._speed * time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


class Laborious(BootClock):
    """The time of an agent that takes a second for each step of each object."""

    def __init__(self, tracker: ToyTracker) -> None:
        self._tracker = tracker

    def now(self) -> float:
        return super().now() + self._tracker.steps


def undisturbed(world: World, *, stop: int) -> list[Shapes]:
    """What Ann gets where nothing fails, from an agent of its own: in all worlds of these tests the same."""
    if stop not in _UNDISTURBED:
        agent = world.new_toy().start().wait_ready()
        _UNDISTURBED[stop] = world.track(stop=stop)
        agent.stop()
    return _UNDISTURBED[stop]


def judged(kind: str, world: World, expected: Sequence[Shapes], got: Sequence[Shapes]) -> bool:
    """Add to the fault table what the annotator got; return whether nothing was lost or wrong."""
    verdict = fault_table.judge(expected, got, differing=differing_answers(world))
    return fault_table.add(kind, verdict).clean


def differing_answers(world: World) -> int:
    """How many requests to track were answered differently at different times."""
    answers: dict[str, set[str]] = {}
    for record in world.cvat.requests():
        if record.status == "finished" and record.params["type"] == "track":
            asked = json.dumps(record.params, sort_keys=True)
            answers.setdefault(asked, set()).add(json.dumps(record.result, sort_keys=True))
    return sum(len(different) > 1 for different in answers.values())


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread while the block runs; what fails there fails the test."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result(30)


def at(frame: int, act: Callable[[], object]) -> Callable[[TrackedFrame], None]:
    """Do something when this frame was answered."""

    def on_frame(tracked: TrackedFrame) -> None:
        if tracked.frame == frame:
            act()

    return on_frame


def keys(world: World, pattern: str) -> list[bytes]:
    """The keys of the tracker in Redis, by pattern."""
    with world.redis.client() as client:
        return list(client.scan_iter(f"{PREFIX}{pattern}"))


def sentence_of(world: World, **parameters: object) -> str | None:
    """What the annotator reads where the action fails."""
    try:
        world.run(**parameters)
    except RunError as error:
        return str(error)
    return None


def ask_to_begin(world: World, frame: int = 0) -> RequestRecord:
    """Put a request to begin tracks into the queue, for which nobody waits."""
    shapes = [shape.to_json() for shape in drawn_shapes()]
    parameters = {"type": "init_tracking", "task": world.task, "frame": frame, "shapes": shapes}
    return world.cvat.submit(world.function, parameters, "ann")


def status_of(world: World, request: RequestRecord) -> str:
    """What has become of a request."""
    return world.cvat.request(request.key).status
