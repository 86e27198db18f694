"""What may go wrong in one run, and how often.

Every seed draws which families of faults it has and how strong each is (swarm testing: A. Groce et al., ISSTA
2012): a run with everything at once hides what a run with only kills shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Literal, TypeAlias

from tests.cvat_standin.queue import Redelivery

Server: TypeAlias = Literal["Redis", "CVAT"]


class Fate(Enum):
    """What befalls one call on its way to a server and back."""

    FINE = auto()
    REQUEST_LOST = auto()
    REPLY_LOST = auto()
    REQUEST_LATE = auto()
    """It takes effect after the caller has given up."""
    REPLY_LATE = auto()
    REFUSED = auto()
    """The server answers that it cannot now."""
    KILLED_BEFORE = auto()
    """The caller is killed before it sends."""
    KILLED_AFTER = auto()
    """The caller is killed when the call has taken effect, before the reply is there."""
    PAUSED_BEFORE = auto()
    PAUSED_AFTER = auto()


class Disaster(Enum):
    """What befalls a part of the world, whatever it does at that moment."""

    KILL = auto()
    PAUSE = auto()
    TERMINATE = auto()
    SECOND_AGENT = auto()
    DEVICE_LOST = auto()
    DEVICE_FULL = auto()
    REDIS_FLUSHED = auto()
    REDIS_LOST_SECONDS = auto()
    REDIS_WENT_BACK = auto()
    REDIS_EVICTED = auto()
    REDIS_DAMAGED = auto()
    REDIS_LOST_LEASE = auto()
    REDIS_FULL = auto()
    REDIS_RESTARTED = auto()
    REDIS_AWAY = auto()
    CVAT_AWAY = auto()
    CVAT_REFUSES = auto()
    STREAMS_CUT = auto()
    REQUEST_TAKEN = auto()


LOSSES = {
    Disaster.REDIS_FLUSHED,
    Disaster.REDIS_LOST_SECONDS,
    Disaster.REDIS_WENT_BACK,
    Disaster.REDIS_EVICTED,
    Disaster.REDIS_DAMAGED,
}
"""Disasters after which answers may be gone."""

_FAMILIES: dict[str, tuple[Sequence[Disaster], Sequence[Fate]]] = {
    "kills": ((Disaster.KILL,), (Fate.KILLED_BEFORE, Fate.KILLED_AFTER)),
    "pauses": (
        (Disaster.PAUSE, Disaster.PAUSE, Disaster.SECOND_AGENT),
        (Fate.PAUSED_BEFORE, Fate.PAUSED_AFTER),
    ),
    "rollouts": ((Disaster.TERMINATE, Disaster.SECOND_AGENT), ()),
    "device": ((Disaster.DEVICE_LOST, Disaster.DEVICE_FULL), ()),
    "network": (
        (Disaster.STREAMS_CUT,),
        (Fate.REQUEST_LOST, Fate.REPLY_LOST, Fate.REQUEST_LATE, Fate.REPLY_LATE),
    ),
    "losses": (
        (
            Disaster.REDIS_FLUSHED,
            Disaster.REDIS_LOST_SECONDS,
            Disaster.REDIS_WENT_BACK,
            Disaster.REDIS_EVICTED,
            Disaster.REDIS_DAMAGED,
        ),
        (),
    ),
    "redis": (
        (Disaster.REDIS_FULL, Disaster.REDIS_RESTARTED, Disaster.REDIS_AWAY, Disaster.REDIS_LOST_LEASE),
        (),
    ),
    "cvat": (
        (Disaster.CVAT_AWAY, Disaster.CVAT_REFUSES, Disaster.STREAMS_CUT, Disaster.REQUEST_TAKEN),
        (Fate.REFUSED,),
    ),
}


@dataclass(slots=True)
class Faults:
    """One run's faults, drawn from its seed; `calm` ends them."""

    seconds: float
    """How long they last."""
    families: tuple[str, ...]
    disasters: tuple[Disaster, ...]
    every: float
    """Seconds between two disasters, on average."""
    jitter: bool
    """The model never gives the same answer twice."""
    redelivery: Redelivery
    events: bool
    """CVAT tells of new requests; else agents have to ask."""
    memory_seconds: int
    """How long memories live in Redis."""
    _fates: list[tuple[float, Fate]] = field(default_factory=list)

    @property
    def loses_answers(self) -> bool:
        """Whether Redis may lose what was published."""
        return bool(LOSSES & set(self.disasters))

    def fate(self, rng: Random) -> Fate:
        """Draw what befalls one call."""
        drawn = rng.random()
        for below, fate in self._fates:
            if drawn < below:
                return fate
        return Fate.FINE

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self._fates = []
        self.disasters = ()


def draw(rng: Random) -> Faults:
    """Draw the faults of a run."""
    names = list(_FAMILIES)
    jitter = rng.random() < 0.4
    if jitter:
        names.remove("losses")  # where answers are lost, a model that jitters cannot give them again
    count = rng.choice((1, 1, 2, 2, 3, 4, len(names)))
    families = tuple(sorted(rng.sample(names, count)))
    disasters = tuple(disaster for name in families for disaster in _FAMILIES[name][0])
    fates = [fate for name in families for fate in _FAMILIES[name][1]]
    return _with_fates(
        Faults(
            seconds=rng.uniform(40, 200),
            families=families,
            disasters=disasters,
            every=_log_uniform(rng, 4, 60),
            jitter=jitter,
            redelivery=redelivery(rng),
            events=rng.random() < 0.8,
            memory_seconds=rng.choice((900, 900, 30)),
        ),
        fates,
        rng,
    )


def two_at_once(rng: Random) -> Faults:
    """Draw the faults of a run in which agents are only paused, beyond their lease, while others work."""
    pauses = (Disaster.PAUSE,)
    faults = Faults(
        seconds=rng.uniform(60, 120),
        families=("two at once",),
        disasters=pauses,
        every=rng.uniform(8, 25),
        jitter=rng.random() < 0.5,
        redelivery=redelivery(rng),
        events=rng.random() < 0.8,
        memory_seconds=900,
    )
    return _with_fates(faults, [Fate.PAUSED_BEFORE, Fate.PAUSED_AFTER], rng)


def redelivery(rng: Random) -> Redelivery:
    """Draw what CVAT does with requests whose agent does not answer."""
    status = rng.choice((403, 404, 409, 410))
    match rng.randrange(4):
        case 0:
            return Redelivery(refusal_status=status)
        case 1:
            return Redelivery(to_same_agent=True, new_id=rng.random() < 0.5, refusal_status=status)
        case _:
            return Redelivery(
                after_seconds=_log_uniform(rng, 3, 90),
                new_id=rng.random() < 0.5,
                to_same_agent=rng.random() < 0.3,
                refusal_status=status,
            )


def _with_fates(faults: Faults, fates: Sequence[Fate], rng: Random) -> Faults:
    total = 0.0
    for fate in fates:
        strike = fate.name.startswith(("KILLED", "PAUSED"))
        total += _log_uniform(rng, 0.0005, 0.02) if strike else _log_uniform(rng, 0.002, 0.08)
        faults._fates.append((total, fate))
    return faults


def _log_uniform(rng: Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
