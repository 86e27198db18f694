"""Plays many seeds, or one with a trace.

python -m tests.operator_simulation --seeds 10000 --jobs 2     prints how to replay what fails
python -m tests.operator_simulation --seed 1234 --trace        one run, everything that happens in it
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.controlplane import situations
from tests.controlplane.situations import Outcomes
from tests.operator_simulation.many import play
from tests.operator_simulation.scenario import run

PROGRESS_SECONDS = 10.0
GIVE_UP_AFTER = 10
SITUATION = "simulation of the operator"


def main(arguments: Sequence[str]) -> int:
    """Return 0 where every run was clean."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.operator_simulation", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="print what happens; with --seed")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument("--keep-going", action="store_true", help="do not stop after ten failing seeds")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _play_one(chosen.seed, trace=chosen.trace)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    return _play_many(seeds, jobs=chosen.jobs, keep_going=chosen.keep_going)


def _play_one(seed: int, *, trace: bool) -> int:
    outcome = run(seed, sys.stdout if trace else None)
    for complaint in outcome.complaints:
        print(complaint)
    print("all is well" if not outcome.complaints else f"{len(outcome.complaints)} complaints")
    return 1 if outcome.complaints else 0


def _play_many(seeds: range, *, jobs: int, keep_going: bool) -> int:
    total, failures = Outcomes(tried=0), 0
    began = said = time.monotonic()
    for result in play(seeds, jobs):
        total += result.outcomes
        for seed, complaints in result.failures:
            print(f"seed {seed}: {complaints[0]}")
            print(f"  replay: python -m tests.operator_simulation --seed {seed} --trace", flush=True)
            failures += 1
        if time.monotonic() - said > PROGRESS_SECONDS:
            said = time.monotonic()
            rate = total.tried / (said - began)
            print(f"{total.tried} of {len(seeds)} runs, {rate:.0f} a second", file=sys.stderr)
        if failures >= GIVE_UP_AFTER and not keep_going:
            print(f"stopped after {failures} failing runs", file=sys.stderr)
            break
    situations.add(SITUATION, total)
    print(situations.render({SITUATION: total}))
    print(f"{failures} failed in {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
