"""The session: one annotator, three objects, twelve tracked frames, a repeated request and a step back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tests.cvat_standin.annotator import Annotator, RunError, Shape

HEIGHT, WIDTH, LENGTH = 72, 96, 10

_NONCE = re.compile(r'("nonce":")[0-9a-f]{32}"')


@dataclass(frozen=True, slots=True)
class Step:
    """Track `frame` with the states that request number `after` answered; 0 is the init."""

    frame: int
    after: int


STEPS = (
    *(Step(frame, after=frame - 1) for frame in range(1, 9)),
    Step(8, after=7),  # the very same request again
    Step(3, after=8),  # back to an earlier frame, and on from there
    Step(4, after=10),
    Step(5, after=11),
    Step(6, after=5),  # from an earlier answer, as after undoing: a step that stands
    Step(6, after=12),
    Step(6, after=12),
)
"""The requests after the init, which is request 0."""

LAST = len(STEPS)


@dataclass(slots=True)
class Record:
    """What the annotator was told, request by request, and what went wrong in the end, if anything did."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None

    def comparable(self) -> list[tuple[object, ...]]:
        """Every answer object by object, without the tracks' random names.

        A state that is nothing but a name is told by when it came first: the same call gives the same one.
        """
        names: dict[str, int] = {}
        return [tuple(_objects(answer, names)) for answer in self.answers]


class Ask(Protocol):
    """Begins to track shapes on a frame, or goes on with states; may raise `RunError`."""

    def __call__(
        self, frame: int, *, shapes: Sequence[Mapping[str, Any]] = (), states: Sequence[str] = ()
    ) -> dict[str, Any]: ...


def at_queue(annotator: Annotator, function: int, task: int) -> Ask:
    """Ask a function that an agent serves."""

    def ask(
        frame: int, *, shapes: Sequence[Mapping[str, Any]] = (), states: Sequence[str] = ()
    ) -> dict[str, Any]:
        asked = {"type": "track", "states": states} if states else {"type": "init_tracking", "shapes": shapes}
        return annotator.run(function, {"task": task, "frame": frame, **asked})

    return ask


def run(ask: Ask, before: Callable[[int], None], record: Record) -> Record:
    """Send the session's requests one after the other; `before` is called before each and after the last."""
    try:
        for number in range(LAST + 1):
            before(number)
            if number == 0:
                record.answers.append(ask(0, shapes=drawn_shapes()))
            else:
                step = STEPS[number - 1]
                record.answers.append(ask(step.frame, states=record.answers[step.after]["states"]))
        before(LAST + 1)
    except RunError as error:
        record.error = f"request {len(record.answers)}: {error}"
    return record


def drawn_shapes() -> list[dict[str, Any]]:
    """A mask, a polygon and a rectangle, as the annotator draws them on frame 0."""
    left, top, side = _square(0)
    right, bottom = left + side - 1, top + side - 1
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    shapes = (Shape.mask(_disk(0)), Shape.polygon(*corners), Shape.rectangle(left, top, right, bottom))
    return [shape.to_json() for shape in shapes]


def pictures() -> list[NDArray[np.uint8]]:
    """The task's frames, (height, width, 3) each: a red disk and a blue square over noise that stays."""
    noise = np.random.default_rng(11).integers(60, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return [_picture(noise, frame) for frame in range(LENGTH)]


def _picture(noise: NDArray[np.uint8], frame: int) -> NDArray[np.uint8]:
    image = noise.copy()
    left, top, side = _square(frame)
    image[top : top + side, left : left + side] = (40, 60, 220)
    image[_disk(frame)] = (220, 40, 30)
    return image


def _square(frame: int) -> tuple[int, int, int]:
    return 66 - 3 * frame, 44, 20


def _disk(frame: int) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    inside: NDArray[np.bool_] = (columns - 22 - 3 * frame) ** 2 + (rows - 24 - frame) ** 2 < 12**2
    return inside


def _objects(answer: dict[str, Any], names: dict[str, int]) -> Iterator[str]:
    states: Sequence[str] = answer["states"]
    shapes: Sequence[object] = answer.get("shapes") or [None] * len(states)
    for state, shape in zip(states, shapes, strict=True):
        told = _NONCE.sub(r'\1*"', state) if "{" in state else names.setdefault(state, len(names))
        yield json.dumps([told, shape], sort_keys=True)
