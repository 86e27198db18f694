"""What is measured: each module measures one table and draws it."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.speed.bench import Measurement
from benchmarks.speed.tables import (
    annotators,
    breakdown,
    checkpoint,
    length,
    network,
    objects,
    requests,
    session,
    start,
)

MEASUREMENTS: Mapping[str, Measurement] = {
    "requests": requests,
    "checkpoint": checkpoint,
    "breakdown": breakdown,
    "session": session,
    "network": network,
    "length": length,
    "annotators": annotators,
    "start": start,
    "objects": objects,
}
"""By name, in the order in which they are measured: what takes longest comes last."""
