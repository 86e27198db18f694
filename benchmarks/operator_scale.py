"""What 10, 100 and 1,000 trackers cost, side by side in one run: time, requests, connections, memory and CPU.

    make bench-operator                                       all of it: about 25 minutes
    python -m benchmarks.operator_scale --quick [TRACKERS ...]    one short look at each of 10 and 1,000

For each size an operator is started cold, first where nothing is registered yet, then where all is done; and
after it has become quiet, it is watched for some intervals. Quiet looks at the smallest and the largest size
alternate, so that a slow moment of the machine falls on both; a quick run has one look at each, which does
not. Only ratios are worth quoting.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.operator_scale_plot import plot
from benchmarks.operator_scale_probe import Percentiles, Process, Tail, audited, reconciles
from benchmarks.operator_scale_process import operating, pass_time, until
from benchmarks.operator_scale_stage import Stage, stage

SIZES = (10, 100, 1000)
ACCOUNTS = 20
INTERVAL = 60.0
WINDOW, QUICK_WINDOW = 2 * INTERVAL, INTERVAL
"""Seconds of a look."""
BOUND = 2.0
RESULTS = Path(__file__).parent / "results" / "operator-scale.json"


@dataclass(frozen=True, slots=True)
class Population:
    """Trackers in a namespace of their own."""

    trackers: int
    accounts: int

    @property
    def namespace(self) -> str:
        """Its name."""
        return f"scale-{self.trackers}-of-{self.accounts}"


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from the start of a process until all trackers are ready, by what was there."""

    trackers: int
    accounts: int
    registering_seconds: float
    """Nothing was there."""
    knowing_seconds: float
    """All was there: until the operator has looked at every tracker."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """Some intervals in which nothing happened."""

    trackers: int
    accounts: int
    load: float
    """Of the machine, over the minute before the end."""
    reconcile: Percentiles
    wait_p95_ms: float
    """Of what was due, until a thread took it: at most this."""
    writes: int
    kubernetes_requests_per_second: float
    cvat_requests_per_account_and_minute: float
    kubernetes_connections: int
    cvat_connections: int
    redis_connections: int
    resident_mib: float
    cpu_seconds_per_minute: float
    verbs: dict[str, int]
    cvat_calls: dict[str, int]


def start(place: Stage, population: Population) -> Start:
    """Make the trackers and start the operator twice."""
    trackers, accounts, namespace = population.trackers, population.accounts, population.namespace
    place.populate(namespace, trackers, [f"a{number:02}-{namespace}" for number in range(accounts)])
    with operating(place, namespace) as operator:
        until(lambda: operator.ready() == trackers, operator, f"{trackers} to be ready")
        registering = time.monotonic() - operator.began
    if place.ready(namespace) != trackers:
        raise AssertionError("The operator holds for ready what the API server does not.")
    with operating(place, namespace) as operator:
        until(lambda: operator.ready() == trackers, operator, f"{trackers} to be known")
        return Start(trackers, accounts, round(registering, 1), round(time.monotonic() - operator.began, 1))


def quiet(place: Stage, population: Population, window: float) -> Quiet:
    """Look at an operator that has nothing to do, for so many seconds."""
    trackers, accounts, namespace = population.trackers, population.accounts, population.namespace
    with operating(place, namespace) as operator:
        until(lambda: operator.ready() == trackers, operator, f"{trackers} to be known")
        pass_time(INTERVAL)
        process = Process(operator.process.pid)
        audit, log = Tail(place.plane.files.audit_log), Tail(operator.log)
        waits = operator.waits()
        calls, cpu, began = _calls(place), process.cpu_seconds(), time.monotonic()
        samples = []
        while time.monotonic() - began < window:
            ports = (place.plane.ports.api, _port(place.cvat.url), place.redis.port)
            samples.append(tuple(process.connections(port) for port in ports))
            pass_time(min(5.0, max(0.0, window - (time.monotonic() - began))))
        seconds = time.monotonic() - began
        cpu, memory = process.cpu_seconds() - cpu, process.resident_mib()
        asked = audited(audit)
        since = {what: count - calls.get(what, 0) for what, count in _calls(place).items()}
        since = {what: count for what, count in since.items() if count}
        if operator.ready() != trackers:
            raise AssertionError("Not all trackers stayed ready.")
        return Quiet(
            trackers=trackers,
            accounts=accounts,
            load=os.getloadavg()[0],
            reconcile=Percentiles.of(reconciles(log)),
            wait_p95_ms=_bound95(waits, operator.waits()),
            writes=asked.writes,
            kubernetes_requests_per_second=round(asked.requests / seconds, 2),
            cvat_requests_per_account_and_minute=round(sum(since.values()) / accounts / seconds * 60, 2),
            kubernetes_connections=max(each[0] for each in samples),
            cvat_connections=max(each[1] for each in samples),
            redis_connections=max(each[2] for each in samples),
            resident_mib=round(memory, 1),
            cpu_seconds_per_minute=round(cpu / seconds * 60, 2),
            verbs=asked.verbs,
            cvat_calls=since,
        )


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write `RESULTS` and its plot; exit status 1 where a promise does not hold."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end all that was started
    options = _parser().parse_args(arguments)
    sizes = options.trackers or ((SIZES[0], SIZES[-1]) if options.quick else SIZES)
    populations = [Population(size, min(size, ACCOUNTS)) for size in sizes]
    smallest, *between, largest = populations
    alone = Population(sizes[-1], 1)
    looked_at = [smallest, largest]
    if not options.quick:
        populations.append(alone)
        looked_at += [*between, alone, largest, smallest]
    window = QUICK_WINDOW if options.quick else WINDOW
    starts: list[Start] = []
    looks: list[Quiet] = []
    with tempfile.TemporaryDirectory() as folder, stage(Path(folder)) as place:
        for population in populations:
            starts.append(start(place, population))
            print(starts[-1], flush=True)
        for population in looked_at:
            looks.append(quiet(place, population, window))
            print(looks[-1], flush=True)
    ratio = _p95(looks, largest) / _p95(looks, smallest)
    print(f"reconcile p95 at {sizes[-1]} trackers over that at {sizes[0]}: {ratio:.2f}")
    summary = {"ratio": round(ratio, 3), "bound": BOUND, "interval_seconds": INTERVAL}
    _write({**summary, "look_seconds": window}, starts, looks)
    wrote = sum(look.writes for look in looks)
    print(f"writes by the operator in quiet windows: {wrote}")
    return 0 if ratio <= BOUND and wrote == 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operator_scale", description=__doc__.split("\n")[0]
    )
    sizes = f"how many, in ascending order; by default {', '.join(map(str, SIZES))}"
    parser.add_argument("trackers", type=int, nargs="*", help=sizes)
    short = "one look of an interval at the smallest and the largest size, and none at one account"
    parser.add_argument("--quick", action="store_true", help=short)
    return parser


def _bound95(before: dict[float, float], after: dict[float, float]) -> float:
    """Give the bound, in milliseconds, under which 95 of 100 waits between two looks stayed."""
    counts = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    return next(1000 * bound for bound in sorted(counts) if counts[bound] >= 0.95 * max(counts.values()))


def _p95(looks: Sequence[Quiet], population: Population) -> float:
    return median(
        look.reconcile.p95
        for look in looks
        if (look.trackers, look.accounts) == (population.trackers, population.accounts)
    )


def _write(summary: dict[str, float], starts: Sequence[Start], looks: Sequence[Quiet]) -> None:
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **summary,
        "starts": [asdict(each) for each in starts],
        "quiet": [asdict(each) for each in looks],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    plot(document, RESULTS.with_suffix(".svg"))
    print(f"written: {RESULTS}")


def _calls(place: Stage) -> dict[str, int]:
    return place.cvat.counters()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
