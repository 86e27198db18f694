"""Kill a real agent at every external call of a session, or pause it, and compare what the annotator is told.

python -m tests.crashpoints                         all points
python -m tests.crashpoints --shard 2/8             an eighth of them (or SHARD=2/8)
python -m tests.crashpoints --sample 40 --seed 7    some, chosen by the seed
python -m tests.crashpoints --point 'ID'            one, as a failure prints it
python -m tests.crashpoints --list                  names them
python -m tests.crashpoints hurried --seeds 100     at random calls of sessions that wait for nothing
python -m tests.crashpoints two-at-once --seeds 20  an agent sleeps past its lease, and wakes
python -m tests.crashpoints ... --door              the same with agents that are called (serverless)
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from tests.crashpoints import crash, two_at_once
from tests.crashpoints.crew import Crew
from tests.crashpoints.door import DoorStage
from tests.crashpoints.points import Point, sample, shard
from tests.crashpoints.stage import Stage

COMMAND = "python -m tests.crashpoints"


def main(arguments: Sequence[str]) -> int:
    """Return the exit status: 0 where every run was clean."""
    asked = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    kind, before = (DoorStage, "serverless: ") if asked.door else (Stage, "")
    command = f"{COMMAND} --door" if asked.door else COMMAND
    with Crew(asked.jobs, command, kind) as crew:
        if asked.what == "two-at-once":
            directed = [] if asked.door else [*two_at_once.DIRECTED]
            seeds = [*directed, *map(str, range(1, asked.seeds + 1))]
            work = [asked.seed] if asked.seed else shard(seeds, asked.shard)
            return crew.run(before + two_at_once.KIND, work, two_at_once.pause, "two-at-once --seed")
        if asked.what == "hurried":
            seeds = [str(seed) for seed in range(1, asked.seeds + 1)]
            work = [asked.seed] if asked.seed else shard(seeds, asked.shard)
            return crew.run(before + crash.KIND_HURRIED, work, crash.kill_hurried, "hurried --seed")
        print(f"{len(crew.points)} points; {crew.unsteady} calls came in some undisturbed runs only")
        points = _chosen(asked, crew.points)
        if asked.list:
            print("\n".join(map(str, points)))
            return 0
        return crew.run(before + crash.KIND, points, crash.kill_at, "--point")


def _chosen(asked: argparse.Namespace, points: Sequence[Point]) -> list[Point]:
    if asked.point:
        return [Point.parse(asked.point)]
    if asked.sample:
        return sample(points, asked.sample, int(asked.seed or 0))
    return shard(points, asked.shard)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("what", nargs="?", choices=["crash", "hurried", "two-at-once"], default="crash")
    parser.add_argument("--shard", default=os.environ.get("SHARD", "1/1"), help="i/n: the i-th of n parts")
    parser.add_argument("--sample", type=int, help="how many points, chosen by the seed")
    parser.add_argument("--seed", help="of the sample; with the others: only this one")
    parser.add_argument("--seeds", type=int, default=20, help="hurried, two-at-once: how many")
    parser.add_argument("--point", help="only this point")
    parser.add_argument("--door", action="store_true", help="agents that are called")
    parser.add_argument("--list", action="store_true", help="name the points and end")
    parser.add_argument(
        "--jobs", type=int, default=3, help="sessions at once; each waits a good part of its time"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
