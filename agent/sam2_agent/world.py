"""What an agent is given: real in `__main__`, with virtual time and faults in a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sam2_agent.core.ports import Clock, Compute, Events, Frames, Queue, Store
from sam2_agent.core.tracking import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What every agent needs, whichever door requests come through."""

    tracker: Tracker
    compute: Compute
    store: Store
    clock: Clock
    rng: Random
    events: Events


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueWorld(World):
    """And CVAT's queue and frames; `apart` is for what takes long, but not the model."""

    apart: Compute
    queue: Queue
    frames: Frames
