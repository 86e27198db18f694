"""Two agents at once: one is stopped at a random call, its lease runs out, another works, the first wakes.

    first      ... call k |(SIGSTOP)                               (SIGCONT)| goes on where it was
    second                  takes the lease, serves ..............................................

A call that was stopped before it was forwarded is held back until the first agent wakes, as if the agent had
been stopped just before it sent it: so whatever the first agent was about to do, it does late.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from tests.crashpoints import session
from tests.crashpoints.crash import Outcome, Undisturbed, judged, stuck, tail
from tests.crashpoints.points import Call, Point, Side
from tests.crashpoints.stage import PATIENCE_SECONDS, Agent, HandedOutAgain, Scene, Stage
from tests.crashpoints.wire import Trap

KIND = "two agents at once: one paused past its lease"

ASLEEP_SECONDS = 3.0
"""The first agent wakes by then at the latest: it may be the only one that knows of a request."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the first agent stops, and when it wakes after another took the lease."""

    stop_at: Point | tuple[int, Side]
    requests_asleep: int
    again: HandedOutAgain
    begin_early: bool = False
    """Whether the session begins before there are agents."""


_ACQUIRE = "POST /api/functions/queues/{}/requests/acquire interactive"
_COMPLETE = "POST /api/functions/queues/{}/requests/{}/complete"

DIRECTED = {
    # CVAT hands it out to nobody else, so the holder has it from the first agent or never.
    "a request reaches an agent without the lease": Plan(
        Point(Call("start", _ACQUIRE, 1), "after"), 0, "never", begin_early=True
    ),
    # Both agents choose names for the new tracks; they must be the same.
    "an agent wakes with the answer of an init in its hand": Plan(
        Point(Call("start", _COMPLETE, 1), "before"), 1, "same id"
    ),
}
"""What no seed may leave to chance."""


def pause(stage: Stage, name: str, expected: Undisturbed) -> Outcome:
    """Play the session as the directed plan of that name says, or as drawn by the seed that the name is."""
    plan = DIRECTED.get(name) or drawn(Random(int(name)), len(expected.calls))
    return play(stage, name, plan, expected)


def drawn(rng: Random, calls: int) -> Plan:
    """A plan by chance, for a session of about so many calls."""
    sides: tuple[Side, Side] = ("before", "after")
    ways: tuple[HandedOutAgain, ...] = ("same id", "new id", "never")
    ordinal = rng.randint(1, calls * 2 // 3)
    return Plan((ordinal, rng.choice(sides)), rng.randint(0, session.LAST), rng.choice(ways))


def play(stage: Stage, name: str, plan: Plan, expected: Undisturbed, *, begin_early: bool = False) -> Outcome:
    """Play the session with two agents as planned; with `begin_early` before there are any."""
    with stage.scene(plan.again) as scene, ThreadPoolExecutor(1) as pool:
        record = session.Record()
        if plan.begin_early:
            playing = pool.submit(scene.play, lambda _number: None, record)
            _until(lambda: bool(scene.requests()))
        traps: list[Trap] = []
        first = scene.start_agent("pod-0", lambda agent: traps.append(_stopping(agent, plan)))
        [trap] = traps
        _until(lambda: first.wire.ledger.leads or trap.sprung.is_set())
        second = scene.start_agent("pod-1")
        if not plan.begin_early:
            playing = pool.submit(scene.play, lambda _number: None, record)
        deadline = time.monotonic() + PATIENCE_SECONDS
        _until(lambda: trap.sprung.is_set() and second.wire.ledger.leads)
        wake_at = len(record.answers) + plan.requests_asleep
        asleep_until = time.monotonic() + ASLEEP_SECONDS
        _until(lambda: playing.done() or len(record.answers) >= wake_at or time.monotonic() > asleep_until)
        calls_asleep = len(first.wire.calls)
        first.process.signal(signal.SIGCONT)
        first.wire.go_on()
        while not (playing.done() and len(first.wire.calls) > calls_asleep + 1 and _settled(scene)):
            if time.monotonic() > deadline:
                return stuck(scene, name, record, expected)
            time.sleep(0.003)
        outcome = judged(scene, name, record, expected)
        ended = [f"ended:\n{tail(agent)}" for agent in scene.agents if _ended(agent)]
        return Outcome(name, outcome.verdict, (*outcome.complaints, *ended))


def _stopping(agent: Agent, plan: Plan) -> Trap:
    trap = Trap(lambda: agent.process.signal(signal.SIGSTOP), kills=False)
    if isinstance(plan.stop_at, Point):
        trap.point = plan.stop_at
    else:
        trap.ordinal = plan.stop_at
    agent.wire.trap = trap
    return trap


def _settled(scene: Scene) -> bool:
    """Whether exactly one agent serves, or an agent has ended, and nothing is left to do."""
    leading = [agent.wire.ledger.leads for agent in scene.agents]
    return (sum(leading) == 1 and not scene.unfinished()) or any(map(_ended, scene.agents))


def _ended(agent: Agent) -> bool:
    return agent.process.exit_status() is not None


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the agents do not come to the point where one is stopped")
        time.sleep(0.003)
