"""Hunts the operator's mutants: the simulation of the operator."""

from __future__ import annotations

from tests.mutants.hunters import Hunter, RunOf
from tests.operator_simulation.scenario import run


def _complaint(of: RunOf) -> str | None:
    _, seed = of
    return next(iter(run(seed).complaints), None)


HUNTER = Hunter("sam2_operator", ("operator",), _complaint)
