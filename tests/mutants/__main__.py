"""Hunt the mutants.

    python -m tests.mutants [--only NAME ...] [--seeds N] [--jobs N]

Every mutant is looked for in the first N seeds of the simulation, until one finds it; then the code as it is
has to pass all those seeds.  Exit status 1: a mutant survived, a patch no longer applies, or the code as it
is does not pass.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.mutants.hunting import SEEDS, hunt_all
from tests.mutants.mutant import mutants


def main(arguments: Sequence[str]) -> int:
    """Print a line for each mutant."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Look whether the tests notice code that is broken."
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants, instead of all")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"default {SEEDS}")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at once; default 2")
    options = parser.parse_args(arguments)
    chosen = [each for each in mutants() if not options.only or each.name in options.only]
    if unknown := set(options.only or ()) - {each.name for each in chosen}:
        parser.error(f"there is no mutant named {', '.join(sorted(unknown))}")
    results = hunt_all(
        chosen, seeds=options.seeds, jobs=options.jobs, show=lambda line: print(line, flush=True)
    )
    return 0 if all(result.fine for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
