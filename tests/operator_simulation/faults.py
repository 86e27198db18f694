"""What may go wrong in one run, and how often.

Every seed draws which families of faults it has and how strong each is (swarm testing: A. Groce et al., ISSTA
2012): a run with everything at once hides what a run with only kills shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Literal, TypeAlias

Server: TypeAlias = Literal["kubernetes", "cvat", "redis", "agent"]


class Fate(Enum):
    """What befalls one call on its way to a server and back."""

    FINE = auto()
    REQUEST_LOST = auto()
    """Nothing was done, and the caller learns so at once."""
    REPLY_LOST = auto()
    """It was done, and the caller only sees the connection break."""
    REQUEST_HANGS = auto()
    """Nothing is done, and the caller waits until its time is up."""
    REPLY_HANGS = auto()
    """It is done, and the caller waits until its time is up."""
    REQUEST_LATE = auto()
    """It is done after the caller's time is up."""
    REFUSED = auto()
    """The server, or what stands before it, answers with an error and does nothing."""
    DONE_BUT_REFUSED = auto()
    """What stands before the server answers with an error although the server does it."""
    REPEATED = auto()
    """What stands before the server asks it twice, and gives one of the answers."""
    KILLED_BEFORE = auto()
    KILLED_AFTER = auto()
    PAUSED_BEFORE = auto()
    PAUSED_AFTER = auto()


class Disaster(Enum):
    """What befalls a part of the world, or what people do, whatever the operator does at that moment."""

    OPERATOR_KILLED = auto()
    SECOND_OPERATOR = auto()
    CVAT_AWAY = auto()
    CVAT_ASKS_TO_WAIT = auto()
    INGRESS_WITHOUT_CVAT = auto()
    KUBERNETES_AWAY = auto()
    REDIS_AWAY = auto()
    FUNCTION_DELETED = auto()
    FUNCTION_MADE = auto()
    CHILD_DELETED = auto()
    CHILD_EDITED = auto()
    POD_DELETED = auto()
    AGENT_CRASHES = auto()
    SPEC_EDITED = auto()
    SPEC_EDITED_BACK = auto()
    TRACKER_TOUCHED = auto()
    TRACKER_DELETED = auto()
    TRACKER_FORCED_AWAY = auto()
    TRACKER_MADE_AGAIN = auto()
    TRACKER_MADE_BRIEFLY = auto()
    SECRET_DELETED = auto()
    SECRET_OF_ANOTHER = auto()
    SECRET_PUT_BACK = auto()
    NAMESPACE_DELETED = auto()
    PODS_REFUSED = auto()
    CHANGES_REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Family:
    """Faults that come together."""

    disasters: Sequence[Disaster] = ()
    fates: Mapping[Server, Sequence[Fate]] | None = None


_LOST = (Fate.REQUEST_LOST, Fate.REPLY_LOST, Fate.REQUEST_HANGS, Fate.REPLY_HANGS)
_KILLED = (Fate.KILLED_BEFORE, Fate.KILLED_AFTER)
_PAUSED = (Fate.PAUSED_BEFORE, Fate.PAUSED_AFTER)

FAMILIES: dict[str, Family] = {
    "kills": Family(
        (Disaster.OPERATOR_KILLED,), {"kubernetes": _KILLED, "cvat": _KILLED * 4, "redis": _KILLED}
    ),
    "pauses": Family((Disaster.SECOND_OPERATOR,), {"kubernetes": _PAUSED, "cvat": _PAUSED * 4}),
    "two operators": Family((Disaster.SECOND_OPERATOR, Disaster.SECOND_OPERATOR)),
    "kubernetes": Family((Disaster.KUBERNETES_AWAY,), {"kubernetes": (*_LOST, Fate.REFUSED)}),
    "cvat": Family(
        (Disaster.CVAT_AWAY, Disaster.CVAT_ASKS_TO_WAIT, Disaster.INGRESS_WITHOUT_CVAT),
        {"cvat": (*_LOST, Fate.REPLY_LOST, Fate.REFUSED, Fate.DONE_BUT_REFUSED, Fate.REQUEST_LATE)},
    ),
    "repeats": Family((), {"cvat": (Fate.REPEATED,)}),
    "redis": Family((Disaster.REDIS_AWAY,), {"redis": (Fate.REQUEST_LOST, Fate.REPLY_LOST)}),
    "functions": Family(
        (Disaster.FUNCTION_DELETED, Disaster.FUNCTION_MADE, Disaster.FUNCTION_MADE),
        {"cvat": (Fate.REQUEST_LOST, Fate.REPLY_LOST)},
    ),
    "children": Family((Disaster.CHILD_DELETED, Disaster.CHILD_EDITED, Disaster.POD_DELETED)),
    "agents": Family((Disaster.AGENT_CRASHES, Disaster.PODS_REFUSED)),
    "refusals": Family(
        (Disaster.CHANGES_REFUSED, Disaster.PODS_REFUSED, Disaster.SPEC_EDITED, Disaster.SPEC_EDITED)
    ),
    "edits": Family(
        (Disaster.SPEC_EDITED, Disaster.SPEC_EDITED, Disaster.SPEC_EDITED_BACK, Disaster.TRACKER_TOUCHED)
    ),
    "ends": Family(
        (Disaster.TRACKER_DELETED, Disaster.TRACKER_MADE_AGAIN, Disaster.TRACKER_MADE_BRIEFLY),
        {"cvat": (Fate.REPLY_LOST, Fate.KILLED_AFTER)},
    ),
    "force": Family((Disaster.TRACKER_FORCED_AWAY, Disaster.TRACKER_MADE_AGAIN)),
    "secrets": Family((Disaster.SECRET_DELETED, Disaster.SECRET_OF_ANOTHER, Disaster.SECRET_PUT_BACK)),
    "namespaces": Family((Disaster.NAMESPACE_DELETED, Disaster.TRACKER_MADE_AGAIN)),
}

SETTLE = 60.0
"""How late CVAT may list what it has made, so that the operator can still decide."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What a run has of them."""

    families: tuple[str, ...]
    probability: float
    """That something befalls a call for which a family has a fate."""
    disaster_every: float
    """Mean seconds between disasters; 0 for none."""
    list_late: float
    """Functions are listed up to so many seconds after they were made."""
    notices_lost: float
    """Share of the watch's notices that never arrive."""

    def decidable(self, late: float) -> bool:
        """Whether one listed so late after it was made is listed well in time after it was asked for."""
        return late + (30.0 if "cvat" in self.families else 0.0) < SETTLE - 10.0

    def disasters(self) -> list[Disaster]:
        return [each for name in self.families for each in FAMILIES[name].disasters]

    def fate(self, rng: Random, server: Server) -> Fate:
        """Draw what befalls a call."""
        if rng.random() >= self.probability:
            return Fate.FINE
        fates = [fate for name in self.families for fate in (FAMILIES[name].fates or {}).get(server, ())]
        return rng.choice(fates) if fates else Fate.FINE


def draw(rng: Random) -> Faults:
    """Draw the faults of a run."""
    count = rng.choice((1, 1, 2, 2, 3, 4, len(FAMILIES)))
    late = rng.choice((0.0, 0.0, 0.0, 5.0, 45.0, 45.0, 400.0))
    return Faults(
        families=tuple(sorted(rng.sample(sorted(FAMILIES), count))),
        probability=rng.choice((0.01, 0.03, 0.1, 0.3)),
        disaster_every=rng.choice((20.0, 45.0, 90.0)),
        list_late=late,
        notices_lost=rng.choice((0.0, 0.0, 0.3, 1.0)),
    )


CALM = Faults((), 0.0, 0.0, 0.0, 0.0)
