"""Bringing a fault of Redis about while Ann tracks, and judging what she got."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sam2_agent.core.patience import Patience
from tests import fault_table
from tests.cvat_standin.annotator import RunError, TrackedFrame
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.conftest import Shapes, World

QUEUE = "POST /api/functions/queues/{id}/requests"
ACQUIRE, COMPLETE = f"{QUEUE}/acquire", f"{QUEUE}/{{request_id}}/complete"
FRAME = "GET /api/tasks/{id}/data/"

PATIENT = Patience(lease=2.0, poll=0.5, request=60.0)
"""A short lease; the annotator's call is held as long as a test takes."""

AWAY = "The tracking agent cannot reach its store now; run the action again later."
RESTORING = "The agent is restoring this track, which takes a while; run the action again."


def at(frame: int, act: Callable[[], object]) -> Callable[[TrackedFrame], None]:
    """Do something when this frame was answered, so between two requests."""

    def on_frame(tracked: TrackedFrame) -> None:
        if tracked.frame == frame:
            act()

    return on_frame


@contextmanager
def amid(world: World, route: str, act: Callable[[], object], *, skip: int = 0) -> Iterator[None]:
    """Do something while the agent stands before a call to CVAT, `skip` calls of that route from now."""
    stall = world.cvat.faults.stall(route, skip=skip)

    def act_there() -> None:
        wait_for(lambda: stall.taken() or None, f"a call of {route}", within=30)
        try:
            act()
        finally:
            world.cvat.faults.release()

    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act_there)
        yield
        acting.result(60)


def require_clean(world: World, kind: str, expected: Sequence[Shapes], got: Sequence[Shapes]) -> None:
    """Assert that the fault cost nothing but time, and add it to the table."""
    judged = fault_table.judge(expected, got, differing=told_twice(world))
    assert fault_table.add(kind, judged).clean, judged


def told_twice(world: World) -> int:
    """How many requests with the same parameters were told two different answers."""
    answers: dict[str, set[str]] = defaultdict(set)
    for request in world.cvat.requests(world.function):
        if request.status == "finished" and request.params["type"] == "track":
            answers[json.dumps(request.params, sort_keys=True)].add(json.dumps(request.result))
    return sum(len(told) > 1 for told in answers.values())


def complaint(world: World, **parameters: object) -> str | None:
    """What Ann reads where one call fails; None where it is answered."""
    try:
        world.run(**parameters)
    except RunError as error:
        return str(error)
    return None
