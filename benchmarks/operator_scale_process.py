"""The operator that `operator_scale` measures: a process, for one namespace."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3

from benchmarks.operator_scale_stage import Stage
from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.operator_process import operator_process
from tests.ports import free_port

_PATIENCE = 1800.0


class Operator:
    """A running `python -m sam2_operator`, for one namespace."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path, began: float) -> None:
        self.process, self.log, self.began = process, log, began
        self._url = f"http://127.0.0.1:{port}/metrics"

    def ready(self) -> int:
        """Give how many trackers it holds for ready."""
        return int(self._told('sam2_operator_trackers{ready="').get("true", 0))

    def waits(self) -> dict[float, float]:
        """Give how often something that was due waited at most so many seconds for a thread."""
        told = self._told('sam2_operator_queue_wait_seconds_bucket{le="')
        return {float(bound): count for bound, count in told.items()}

    def _told(self, name: str) -> dict[str, float]:
        try:
            told = urllib3.request("GET", self._url, retries=False, timeout=30).data.decode()
        except urllib3.exceptions.HTTPError:
            return {}
        lines = [line.removeprefix(name) for line in told.splitlines() if line.startswith(name)]
        return {line.partition('"')[0].strip("}"): float(line.split()[-1]) for line in lines}


@contextmanager
def operating(place: Stage, namespace: str) -> Iterator[Operator]:
    """Run the operator with its defaults."""
    port = free_port()
    password = place.folder / "password"
    password.write_text(ADMIN_PASSWORD)
    settings = {
        "HTTP_PORT": str(port),
        "INSTANCE": "operator-0",
        "NAMESPACES": namespace,
        "REDIS_URL": f"redis://admin@127.0.0.1:{place.redis.port}/0",
        "REDIS_PASSWORD_FILE": str(password),
        "LOG_LEVEL": "debug",
    }
    log = place.folder / f"operator-{time.monotonic_ns()}.log"
    began = time.monotonic()
    kubeconfig = {"KUBECONFIG": str(place.plane.files.kubeconfig)}
    with operator_process(settings, log, environment=kubeconfig) as process:
        yield Operator(process, port, log, began)


def until(condition: Callable[[], bool], operator: Operator, what: str) -> None:
    """Wait for what the operator is to bring about."""
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline or operator.process.poll() is not None:
            raise AssertionError(f"waiting for {what}: {operator.log.read_text()[-3000:]}")
        pass_time(0.25)


def pass_time(seconds: float) -> None:
    """Let time pass: a measurement takes its time."""
    time.sleep(seconds)
