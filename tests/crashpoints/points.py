"""Points: where in a session an agent is killed, so named that the same point is found in the next run.

A call of the request in hand is the n-th of its kind within that request.  What the agent does beside its
requests (lease, event stream, memories written behind, new connections) comes whenever it comes: such a call
is the n-th of its kind in the agent's life, in the stage `~`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import Literal, TypeVar, get_args

T = TypeVar("T")

Side = Literal["before", "after"]

BESIDE = "~"
"""The stage of calls that belong to no request."""

_BESIDE = re.compile(
    r"GET \S+/watch"
    r"|(HELLO|CLIENT|PING|SCRIPT)\b.*"
    r"|EVALSHA lease\+(epoch|requests)"
    r"|EVALSHA lease"
    r"|(SET|PEXPIRE|UNLINK|DEL) .*"
)
_ID = re.compile(r"(?P<stage>\S+) (?P<kind>.+) #(?P<number>\d+) (?P<side>before|after)")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request or one Redis command: in `stage` the `number`-th of its kind, counted from 1."""

    stage: str
    kind: str
    number: int


@dataclass(frozen=True, slots=True)
class Point:
    """Just before a call reaches the server, or just after the server answered and nobody heard it yet."""

    call: Call
    side: Side

    def __str__(self) -> str:
        return f"{self.call.stage} {self.call.kind} #{self.call.number} {self.side}"

    @staticmethod
    def parse(text: str) -> Point:
        """Read what `str` wrote. Raises `ValueError`."""
        if not (found := _ID.fullmatch(text)):
            raise ValueError(
                f"{text!r} names no point; one looks like '3 GET /api/tasks/{{}}/data/ #1 before'"
            )
        call = Call(found["stage"], found["kind"], int(found["number"]))
        return Point(call, "before" if found["side"] == "before" else "after")


def is_beside(kind: str) -> bool:
    """Whether calls of this kind belong to no request."""
    return _BESIDE.fullmatch(kind) is not None


def enumerate_points(traces: Sequence[Collection[Call]]) -> tuple[list[Point], int]:
    """All points of the calls that came in each undisturbed run, and how many came in some runs only."""
    every = list(dict.fromkeys(chain.from_iterable(traces)))
    steady = [call for call in every if all(call in trace for trace in traces)]
    return [Point(call, side) for call in steady for side in get_args(Side)], len(every) - len(steady)


def sample(points: Sequence[Point], number: int, seed: int) -> list[Point]:
    """Choose points at random, a different kind of call each time while there are any."""
    rng = Random(seed)
    by_kind: dict[str, list[Point]] = {}
    for point in rng.sample(points, len(points)):
        by_kind.setdefault(f"{point.call.kind} {point.side}", []).append(point)
    kinds = sorted(by_kind)
    rng.shuffle(kinds)
    rounds = chain.from_iterable(zip_longest(*(by_kind[kind] for kind in kinds)))
    return [point for point in rounds if point is not None][:number]


def shard(points: Sequence[T], text: str) -> list[T]:
    """The part `i/n` of points or seeds, i from 1 to n. Raises `ValueError`."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"{text!r} is no shard; the second of four is 2/4")
    return list(points[int(found[1]) - 1 :: int(found[2])])
