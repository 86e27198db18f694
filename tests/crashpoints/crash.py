"""Killing an agent at one point of the session, and judging what the annotator was told."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from tests.crashpoints import session
from tests.crashpoints.points import BESIDE, Call, Point, Side
from tests.crashpoints.stage import PATIENCE_SECONDS, Agent, HandedOutAgain, Scene, Stage
from tests.crashpoints.wire import Trap
from tests.fault_table import Verdict, judge

KIND = "agent killed at an external call"
KIND_HURRIED = "agent killed at a random call of a hurried session"
TRIES = 3
"""A point may be missed, when load makes background calls come in another order; not three times."""

LOG_LINES = 8
"""So much of each agent's log is shown where something went wrong."""

SETTLE_BEATS = 15
"""At its start an agent asks the queue two or three times; so it is looked at a little longer."""

BESIDE_SECONDS = 10.0
"""How long to wait for a background call that has not come by the session's last request."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What the annotator is told where nothing happens, and the agent's calls."""

    answers: list[tuple[object, ...]]
    calls: list[Call]


@dataclass(frozen=True, slots=True)
class Variant:
    """What else is different about a run; it follows from the point's name, so that a run can be repeated."""

    same_holder: bool
    again_handed_out: HandedOutAgain
    again: tuple[int, Side] | None

    @staticmethod
    def of(point: Point) -> Variant:
        number = zlib.crc32(str(point).encode())
        again: tuple[int, Side] | None = None
        if number >> 2 & 7 == 0:
            again = (1 + (number >> 5) % 10, "before" if number >> 9 & 1 else "after")
        ways: tuple[HandedOutAgain, ...] = ("same id", "new id")
        if again is None and _is_recorded(point):
            ways = ("same id", "new id", "never")
        return Variant(bool(number & 1), ways[(number >> 10) % len(ways)], again)

    def __str__(self) -> str:
        return ", ".join(
            (
                "container restarted" if self.same_holder else "new pod",
                f"handed out again: {self.again_handed_out}",
                *([f"killed again at call {self.again[0]} ({self.again[1]})"] if self.again else []),
            )
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run with faults."""

    name: str
    verdict: Verdict
    complaints: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return self.verdict.clean and not self.complaints


def undisturbed(stage: Stage) -> Undisturbed:
    """Play the session with one agent to whom nothing happens. Raises `AssertionError` where that fails."""
    with stage.scene() as scene:
        agent = scene.start_agent("pod-a")
        record = scene.play(pace(agent, lambda: False), session.Record())
        complaints = look(scene, record)
        if complaints:
            raise AssertionError("; ".join(complaints))
        return Undisturbed(record.comparable(), list(agent.wire.calls))


def kill_at(stage: Stage, point: Point, expected: Undisturbed, *, tries: int = TRIES) -> Outcome:
    """Play the session, kill the agent at the point, start the next, and compare."""
    variant = Variant.of(point)

    def wait(first: Agent, trap: Trap) -> Callable[[int], None]:
        return pace(first, trap.sprung.is_set, patient=point.call.stage == BESIDE)

    for _ in range(tries):
        if outcome := _kill(stage, str(point), point, variant=variant, wait=wait, expected=expected):
            return outcome
    return Outcome(str(point), Verdict(), (f"the point was not met in {tries} runs",))


def kill_hurried(stage: Stage, seed: str, expected: Undisturbed) -> Outcome:
    """The same at a call by chance, in a session that waits for nothing: so calls of requests are mixed."""
    rng = Random(int(seed))
    sides: tuple[Side, Side] = ("before", "after")
    ways: tuple[HandedOutAgain, ...] = ("same id", "new id")
    at = rng.randint(1, len(expected.calls) // 2), rng.choice(sides)
    variant = Variant(rng.random() < 0.5, rng.choice(ways), None)

    def not_at_all(_first: Agent, _trap: Trap) -> Callable[[int], None]:
        return lambda _number: None

    for _ in range(TRIES):
        if outcome := _kill(stage, seed, at, variant=variant, wait=not_at_all, expected=expected):
            return outcome
    return Outcome(seed, Verdict(), (f"call {at} was not met in {TRIES} runs",))


def _kill(
    stage: Stage,
    name: str,
    at: Point | tuple[int, Side],
    *,
    variant: Variant,
    wait: Callable[[Agent, Trap], Callable[[int], None]],
    expected: Undisturbed,
) -> Outcome | None:
    """One run; None where all was well, but the place to kill at, or the second one, was not met."""
    places = [at, *([variant.again] if variant.again else [])]
    traps: list[Trap] = []

    def prepare(agent: Agent) -> None:
        if len(traps) < len(places):
            place = places[len(traps)]
            trap = Trap(agent.process.kill_now)
            trap.point, trap.ordinal = (place, None) if isinstance(place, Point) else (None, place)
            traps.append(trap)
            agent.wire.trap = trap

    with stage.scene(variant.again_handed_out) as scene, ThreadPoolExecutor(1) as pool:
        first = scene.start_agent("pod-0", prepare)
        record = session.Record()
        playing = pool.submit(scene.play, wait(first, traps[0]), record)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (playing.done() and scene.agents[-1].wire.ledger.idle and not _sprung(scene.agents[-1])):
            if _sprung(scene.agents[-1]):
                scene.agents[-1].process.wait_exit()
                holder = "pod-0" if variant.same_holder else f"pod-{len(scene.agents)}"
                scene.start_agent(holder, prepare)
            if time.monotonic() > deadline:
                return stuck(scene, name, record, expected)
            time.sleep(0.003)
        playing.result()
        outcome = judged(scene, name, record, expected)
        met = len(traps) == len(places) and all(trap.sprung.is_set() for trap in traps)
        return outcome if met or not outcome.clean else None


def stuck(scene: Scene, name: str, record: session.Record, expected: Undisturbed) -> Outcome:
    """The outcome of a run that does not come to its end."""
    where = f"stuck at request {len(record.answers)}: {scene.unfinished()}"
    logs = [tail(agent) for agent in scene.agents]
    return Outcome(name, judge(expected.answers, record.comparable()), (where, *logs))


def tail(agent: Agent) -> str:
    """The end of an agent's log."""
    return "\n".join(agent.process.log_file.read_text().splitlines()[-LOG_LINES:])


def judged(scene: Scene, name: str, record: session.Record, expected: Undisturbed) -> Outcome:
    """Compare what Ann was told with the undisturbed run, and what CVAT was told with itself."""
    differing = told_twice(scene.agents)
    verdict = judge(expected.answers, record.comparable(), differing=differing)
    return Outcome(name, verdict, tuple(look(scene, record)))


def look(scene: Scene, record: session.Record) -> list[str]:
    """What is wrong besides the answers."""
    complaints = [record.error] if record.error else []
    complaints += scene.left_over()
    complaints += [
        f"reported as failed: {failure}" for agent in scene.agents for failure in agent.wire.ledger.failures
    ]
    return complaints


def told_twice(agents: Sequence[Agent]) -> int:
    """How many requests CVAT was told two different answers to, whether it took them or not."""
    told: dict[str, set[bytes]] = {}
    for agent in agents:
        for request, answer in agent.wire.ledger.completions:
            told.setdefault(request, set()).add(answer)
    return sum(len(answers) > 1 for answers in told.values())


def pace(agent: Agent, over: Callable[[], bool], *, patient: bool = False) -> Callable[[int], None]:
    """Before each request let the agent come to rest and name the request to its wire, until it is `over`.

    So calls of one request are not mixed with those of the next.  A `patient` one waits before the last
    request for what has to come by itself.
    """

    def before(number: int) -> None:
        agent.wait_at_rest(over, beats=3 if number else SETTLE_BEATS)
        if patient and number == session.LAST:
            deadline = time.monotonic() + BESIDE_SECONDS
            while not over() and time.monotonic() < deadline:
                time.sleep(0.01)
        agent.wire.stage = str(number)

    return before


def _is_recorded(point: Point) -> bool:
    """Whether the request in hand, if there is one, stands in Redis: its only place where CVAT keeps it."""
    handing_over = ("acquire", "EVALSHA requests")
    return point.call.stage != BESIDE and not any(part in point.call.kind for part in handing_over)


def _sprung(agent: Agent) -> bool:
    return agent.wire.trap is not None and agent.wire.trap.sprung.is_set()
