"""What deciding about functions takes and gives: situations, matches and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sam2_operator.api.status import (
        RegisteredFunction,
        Registration,
        RequestedFunction,
        TrackerStatus,
    )
    from sam2_operator.core.observed import Function, User
    from sam2_operator.core.settlement import Rival


@dataclass(frozen=True, slots=True)
class Fields:
    """What a function is made with; CVAT never changes it afterwards."""

    name: str
    visibility: str
    shape_types: tuple[str, ...]
    """Sorted."""

    def describes(self, function: Function) -> bool:
        """Whether the function could have been made with these fields."""
        return (
            function.kind == "tracker"
            and function.provider == "native"
            and function.name == self.name
            and function.visibility == self.visibility
            and tuple(sorted(function.shape_types)) == self.shape_types
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who the operator is in CVAT, and all functions that it sees there."""

    user: User
    listing: tuple[Function, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What is known when deciding.

    `current` is the function of `target_id`, None when CVAT says it is gone. `around` is None until it is
    asked for. `claimed` are ids that other trackers of this CVAT hold, and `contested` tells that one of them
    has the better right to this tracker's own; `rivals` have unsettled registrations.
    """

    key: str
    desired: Fields
    adopt_id: int | None
    status: TrackerStatus
    current: Function | None
    around: Surroundings | None
    claimed: Collection[int]
    rivals: Sequence[Rival]
    instance: str
    now: datetime
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Keep:
    """All is as it should be."""

    function: Function


@dataclass(frozen=True, slots=True)
class LookAround:
    """Ask CVAT for the surroundings and decide again."""


@dataclass(frozen=True, slots=True)
class Register:
    """Write the intent, then POST."""

    intent: Registration


@dataclass(frozen=True, slots=True)
class Adopt:
    """Write the status: this function is the tracker's from now on."""

    status: TrackerStatus
    why: str


@dataclass(frozen=True, slots=True)
class Abandon:
    """Write the status: a request of which nothing came, or a function that is another's, is given up."""

    status: TrackerStatus
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Decide again after this many seconds."""

    seconds: float
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A person must do something."""

    reason: str
    message: str


Decision: TypeAlias = Keep | LookAround | Register | Adopt | Abandon | Wait | Stop


def candidates(
    asked: RequestedFunction, listing: Iterable[Function], excluded: Collection[int | None]
) -> tuple[Function, ...]:
    """Give the functions that may have come of what was asked."""
    return tuple(
        function
        for function in listing
        if function.id > asked.above_id
        and function.id not in excluded
        and function.owner_id == asked.user_id
        and fields_of(asked).describes(function)
    )


def fields_of(record: RequestedFunction | RegisteredFunction) -> Fields:
    """Give the fields written in the status."""
    return Fields(record.name, record.visibility, tuple(sorted(record.shape_types)))
