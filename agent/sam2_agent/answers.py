"""What answers calls, put together: the same for an agent's door and for a function of Nuclio."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.ahead import WriteAhead
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Clock, Compute, Events, Records
from sam2_agent.core.recent import Recent
from sam2_agent.core.second_chance import SecondChance
from sam2_agent.core.serverless import Serverless
from sam2_agent.core.shown import Shown
from sam2_agent.core.stepping import Stepping
from sam2_agent.core.survivors import Survivors
from sam2_agent.core.tracking import ShapeType, Tracker
from sam2_agent.core.tracks import Tracks


def serverless(
    *,
    tracker: Tracker,
    compute: Compute,
    records: Records,
    clock: Clock,
    events: Events,
    rng: Random,
    decode: Callable[[bytes], NDArray[np.uint8]],
    shape_types: frozenset[ShapeType],
    patience: Patience,
) -> Serverless:
    """Return what answers calls; `decode` reads an encoded image."""
    recent = Recent()
    sparing = SecondChance(compute, recent)
    shown = Shown(tracker, sparing, recent)
    tracks = Tracks(
        stepping=Stepping(tracker=tracker, compute=sparing, pictures=shown, recent=recent, events=events),
        survivors=Survivors(tracker=tracker, compute=sparing, store=records, recent=recent, events=events),
        store=records,
        keeping=WriteAhead(records, tracker, sparing, recent),
        recent=recent,
        clock=clock,
        events=events,
        patience=patience.restore,
    )
    return Serverless(
        tracks=tracks,
        shown=shown,
        store=records,
        recent=recent,
        compute=compute,
        decode=decode,
        events=events,
        rng=rng,
        fingerprint=tracker.fingerprint,
        shape_types=shape_types,
    )
