"""What users do while the operator is cut off, and in which ways it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from tests.controlplane.crashpoints.gate import Call, When

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Way = Literal[
    "kill",
    "kill+remade",
    "kill+deleted",
    "lose",
    "rival",
    "late rival",
    "killed rival",
    "remade",
    "deleted",
]
"""What happens at the call:

kill          SIGKILL; another operator starts later
kill+remade   SIGKILL; until then somebody removes the tracker by force and makes it again
kill+deleted  SIGKILL; until then somebody asks for the tracker's deletion
lose          the connection breaks; the operator goes on
rival         a second operator does all that it can, then the call goes on
late rival    the same, with a second operator that finds all that is unsettled old enough
killed rival  a second operator begins, and is killed at one of its own calls, then the call goes on
remade        somebody removes the tracker by force and makes it again, then the call goes on
deleted       somebody asks for its deletion, then the call goes on
"""

KILLS = {"kill", "kill+remade", "kill+deleted"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A change to a tracker. Without `before` there is none yet; `change` of None deletes it."""

    name: str
    before: dict[str, Any] | None
    change: dict[str, Any] | None
    ways: tuple[Way, ...]
    function: str = "cars"
    """The function's name in the end."""
    retained: bool = False
    again: bool = False
    """Whether the tracker is made again as soon as it is gone."""
    listed_late: bool = False
    """Whether CVAT lists functions half a settle time late."""


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("create", None, {}, get_args(Way)),
        Scenario(
            "create, listed late", None, {}, ("kill", "kill+deleted", "lose", "rival"), listed_late=True
        ),
        Scenario(
            "new function",
            {},
            {"function": {"name": "bikes"}},
            ("kill", "kill+deleted", "lose", "rival", "late rival", "killed rival", "deleted"),
            function="bikes",
        ),
        Scenario(
            "new function, listed late",
            {},
            {"function": {"name": "bikes"}},
            ("kill", "lose"),
            function="bikes",
            listed_late=True,
        ),
        Scenario("new image", {}, {"agent": {"image": "sam2-tracker-agent:next"}}, ("kill", "lose", "rival")),
        Scenario("delete", {}, None, ("kill", "lose", "rival", "killed rival")),
        Scenario(
            "delete, retain", {"function": {"deletionPolicy": "Retain"}}, None, ("kill",), retained=True
        ),
        Scenario("delete and make again", {}, None, ("kill", "rival"), again=True),
    )
}


@dataclass(frozen=True, slots=True)
class Point:
    """One call of one scenario, and what happens there."""

    scenario: str
    way: Way
    number: int
    when: When
    label: str = field(default="", compare=False)
    is_after_writes: bool = field(default=False, compare=False)
    """Whether all that had to be done was done by then."""

    def __str__(self) -> str:
        return f"{self.scenario}:{self.way}:{self.number}:{self.when}"

    @classmethod
    def parse(cls, written: str) -> Point:
        scenario, way, number, when = written.split(":")
        return cls(scenario, way, int(number), when)  # type: ignore[arg-type]


def points(scenario: Scenario, calls: Sequence[Call]) -> Iterator[Point]:
    """Give all points of a scenario that made these calls when it was left alone.

    Kills come before and after each call. A lost read is the same before and after; and what happens before
    a call happens after the call before it. Calls after the last write are those of a quiet tracker.
    """
    last = max((number for number, call in enumerate(calls) if call.writes), default=0)
    for way in scenario.ways:
        for number, call in enumerate(calls):
            if way in KILLS:
                whens: tuple[When, ...] = ("before", "after")
            elif number > last + 1:
                continue
            elif way == "lose":
                whens = ("before", "after") if call.writes else ("before",)
            else:
                whens = ("before", "after") if number == 0 else ("after",)
            for when in whens:
                yield Point(scenario.name, way, number, when, call.label, is_after_writes=number > last)
