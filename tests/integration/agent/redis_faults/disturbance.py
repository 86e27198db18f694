"""Bringing a fault of Redis about while Ann tracks, and judging what she got."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sam2_agent.core.patience import Patience
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.conftest import Shapes, World
from tests.integration.agent.faults import judged

PATIENT = Patience(lease=2.0, poll=0.5, request=60.0)
"""A short lease; the annotator's call is held as long as a test takes."""

AWAY = "The tracking agent cannot reach its store now; run the action again later."
RESTORING = "The agent is restoring this track, which takes a while; run the action again."


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
    assert judged(kind, world, expected, got), (expected, got)
