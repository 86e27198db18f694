"""Plays many seeds, or one with a trace.

python -m tests.simulation --seeds 10000 --jobs 2              all scenarios; prints how to replay what fails
python -m tests.simulation --seed 1234 --trace                 one run, everything that happens in it
python -m tests.simulation --seeds 1000 --scenario two-at-once one scenario only
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from tests import fault_table
from tests.fault_table import Verdict
from tests.simulation.many import is_clean, play
from tests.simulation.scenario import SCENARIOS, Scenario, run

PROGRESS_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Return 0 where every run was clean."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="print what happens; with --seed")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument("--scenario", choices=(*SCENARIOS, "all"), default="all")
    parser.add_argument("--keep-going", action="store_true", help="do not stop after ten failing seeds")
    chosen = parser.parse_args(arguments)
    scenarios = tuple(SCENARIOS) if chosen.scenario == "all" else (chosen.scenario,)
    if chosen.seed is not None:
        return _play_one(scenarios, chosen.seed, sys.stdout if chosen.trace else None)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    return _play_many(scenarios, seeds, jobs=chosen.jobs, give_up_after=None if chosen.keep_going else 10)


def _play_one(scenarios: Sequence[Scenario], seed: int, trace_to: TextIO | None) -> int:
    failed = 0
    for scenario in scenarios:
        outcome = run(seed, scenario, trace_to)
        if not is_clean(outcome):
            failed += 1
            _say(scenario, seed, outcome.complaints)
    print(f"{failed} of {len(scenarios)} runs failed")
    return 1 if failed else 0


def _play_many(scenarios: Sequence[Scenario], seeds: range, *, jobs: int, give_up_after: int | None) -> int:
    total = len(seeds) * len(scenarios)
    table: dict[Scenario, Verdict] = {scenario: Verdict(tried=0) for scenario in scenarios}
    failures = 0
    began = said = time.monotonic()
    for result in play(scenarios, seeds, jobs):
        table[result.part.scenario] += result.verdict
        for seed, complaints in result.failures:
            _say(result.part.scenario, seed, complaints)
            failures += 1
        tried = sum(verdict.tried for verdict in table.values())
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            print(f"{tried} of {total} runs, {tried / (said - began):.0f} a second", file=sys.stderr)
        if give_up_after is not None and failures >= give_up_after:
            print(f"stopped after {failures} failing runs", file=sys.stderr)
            break
    rows = {f"simulation: {scenario.replace('-', ' ')}": verdict for scenario, verdict in table.items()}
    for kind, verdict in rows.items():
        fault_table.add(kind, verdict)
    print(fault_table.render(rows))
    print(f"{failures} failed in {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


def _say(scenario: Scenario, seed: int, complaints: Sequence[str]) -> None:
    print(f"seed {seed} of {scenario}: {complaints[0] if complaints else 'the verdict is not clean'}")
    print(f"  replay: python -m tests.simulation --scenario {scenario} --seed {seed} --trace", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
