"""Hunts the agent's mutants: the simulation of the agent."""

from __future__ import annotations

from tests.mutants.hunters import Hunter, RunOf
from tests.simulation.scenario import SCENARIOS, Scenario, run

_KNOWN: dict[str, Scenario] = {name: name for name in SCENARIOS}


def _complaint(of: RunOf) -> str | None:
    scenario, seed = of
    outcome = run(seed, _KNOWN[scenario])
    if outcome.complaints or not outcome.verdict.clean:
        return (*outcome.complaints, str(outcome.verdict))[0]
    return None


HUNTER = Hunter("sam2_agent", tuple(SCENARIOS), _complaint)
