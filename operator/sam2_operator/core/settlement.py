"""What came of a registration of which nobody knows how it ended.

A function in CVAT bears no mark of the tracker that it was made for: only its fields, its account and its id
tell. So two unsettled registrations of the same fields could each take the other's function:

    tracker A   intent ... POST lost on its way       looks: 12 is the only candidate, takes it
    tracker B                     intent ... POST makes 12 .................. writes down 12

While another one may still be in flight, nobody takes anything; afterwards they settle one after the other.
Whoever asks lists CVAT's functions first and the other trackers afterwards: a tracker writes its intent
before it asks CVAT, so that whoever made a function that is listed is seen, by intent or by what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from sam2_operator.core.functions import candidates, fields_of
from sam2_operator.core.timestamps import parse, text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from sam2_operator.api.status import Registration
    from sam2_operator.core.observed import Function

SETTLE = timedelta(seconds=60)
"""How late CVAT may list a function that it has made."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another tracker with an unsettled registration in the same CVAT."""

    key: str
    registration: Registration

    def is_in_flight(self, now: datetime) -> bool:
        """Whether CVAT may be asked, or may show what came of it, only now."""
        return now - parse(self.registration.since) < SETTLE


@dataclass(frozen=True, slots=True)
class Made:
    """This function came of it."""

    function: Function


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing came of it."""


@dataclass(frozen=True, slots=True)
class Several:
    """Any of these may have come of it."""

    functions: Sequence[Function]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """It cannot be known yet; ask again at the latest after this time."""

    wait: timedelta
    message: str


Settlement: TypeAlias = Made | Nothing | Several | Unsettled


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is looked at; what other trackers have was asked for after `listing`."""

    listing: Iterable[Function]
    excluded: Collection[int]
    """Functions that came of something else: other trackers hold them, or this one knows them already."""
    rivals: Iterable[Rival]


def settle(key: str, intent: Registration, seen: Evidence, now: datetime) -> Settlement:
    """Say what came of the intent of the tracker `key`, if that is known by now."""
    found = candidates(intent, seen.listing, seen.excluded)
    if not found:
        waited = max(timedelta(), now - parse(intent.since))
        if waited >= SETTLE:
            return Nothing()
        message = (
            "A registration was interrupted, and CVAT may yet show what came of it, until "
            f"{text(now + SETTLE - waited)}."
        )
        return Unsettled(SETTLE - waited, message)
    prior = next((each for each in seen.rivals if _is_prior(each, key, intent, now)), None)
    if prior is not None:
        message = (
            f"A registration was interrupted, and function {found[0].id} may be its own or that of the "
            f"tracker {prior.key}, which is registering the same; this one follows."
        )
        if not prior.is_in_flight(now - SETTLE):
            message += f" That one does not come to an end: mend or delete the tracker {prior.key}."
        return Unsettled(SETTLE / 4, message)
    return Several(found) if len(found) > 1 else Made(found[0])


def _is_prior(rival: Rival, key: str, intent: Registration, now: datetime) -> bool:
    """Whether what is found may be a rival's, and the rival is to settle first."""
    theirs = rival.registration
    if theirs.user_id != intent.user_id or fields_of(theirs) != fields_of(intent):
        return False
    return rival.is_in_flight(now) or (theirs.since, rival.key) < (intent.since, key)
