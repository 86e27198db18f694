"""`python -m tests.controlplane.crashpoints`: all points, some of them, or one again.

    --list              print the points
    --shard 2/4         the second of four nearly equal parts
    --sample 40 --seed 7    forty of them, drawn by a seed
    'create:kill:7:after' ...   these

Prints what went wrong with the command that repeats it, and a table; exit status 1 where anything did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import kubernetes

from sam2_operator.adapters.kube.api import KubeApi
from tests.cluster import controlplane
from tests.controlplane import situations
from tests.controlplane.agents import SpeakingAgent
from tests.controlplane.crashpoints.bench import Bench, bench
from tests.controlplane.crashpoints.scenarios import Point
from tests.controlplane.crashpoints.trial import all_points, sample, shard, try_and_judge
from tests.controlplane.surroundings import ADMIN_PASSWORD, apply_crd, redis_with_users
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.server import serving_in_thread


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    with _standing() as standing:
        chosen = [Point.parse(each) for each in options.points] or list(all_points(standing))
        if options.shard:
            part, parts = map(int, options.shard.split("/"))
            chosen = shard(chosen, part, parts)
        if options.sample:
            chosen = sample(chosen, options.sample, options.seed)
        if options.list:
            print("\n".join(f"{point}  {point.label}" for point in chosen))
            return 0
        return 0 if all(_try_all(standing, chosen)) else 1


def _try_all(standing: Bench, points: list[Point]) -> list[bool]:
    table: dict[str, situations.Outcomes] = {}
    good = []
    started = time.monotonic()
    for number, point in enumerate(points, start=1):
        name, outcomes, flaws = try_and_judge(standing, point)
        table[name] = table.get(name, situations.Outcomes(tried=0)) + outcomes
        situations.add(name, outcomes)
        good.append(outcomes.good)
        if flaws:
            print(flaws, flush=True)
        if number % 25 == 0:
            print(f"{number} of {len(points)} points in {time.monotonic() - started:.0f} s", flush=True)
    print(situations.render(table))
    return good


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.controlplane.crashpoints", description=__doc__)
    parser.add_argument("points", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shard")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=0)
    return parser


@contextmanager
def _standing() -> Iterator[Bench]:
    """Start all that is real, and the stand-in."""
    with (
        controlplane.temporary() as plane,
        tempfile.TemporaryDirectory() as folder,
        serving_in_thread() as url,
        closing(CVAT(url)) as cvat,
        SpeakingAgent(f"127.250.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}") as agent,
        redis_with_users(Path(folder)) as redis,
    ):
        apply_crd(plane.kubectl)
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(plane.files.kubeconfig), client_configuration=configuration)
        with bench(KubeApi.of(configuration), cvat, redis, ADMIN_PASSWORD, agent) as standing:
            yield standing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
