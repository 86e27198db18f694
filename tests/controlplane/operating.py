"""The operator as the process that the image starts, with settings of the test's own."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import urllib3

from tests.controlplane.surroundings import ADMIN_PASSWORD
from tests.cvat_standin.client import wait_for
from tests.operator_process import operator_process
from tests.ports import free_port

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.redis_server import RedisServer


class OperatorProcess:
    """A running `python -m sam2_operator`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self._port, self._log = process, port, log

    def get(self, path: str) -> tuple[int, str]:
        """Ask for its health or metrics; status 0 when it does not answer."""
        try:
            answer = urllib3.request("GET", f"http://127.0.0.1:{self._port}{path}", retries=False, timeout=5)
        except urllib3.exceptions.HTTPError:
            return 0, ""
        return answer.status, answer.data.decode()

    def reconciles(self, result: str = "done") -> int:
        """Give how many reconciles ended so."""
        name = f'sam2_operator_reconcile_seconds_count{{result="{result}"}} '
        lines = self.get("/metrics")[1].splitlines()
        return int(sum(float(line.removeprefix(name)) for line in lines if line.startswith(name)))

    def log(self) -> str:
        return self._log.read_text()

    def lines(self, level: str = "") -> list[dict[str, Any]]:
        """Give what it logged, of one level if asked."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log().splitlines()]
        return [line for line in lines if not level or line["level"] == level]

    def cpu_seconds(self) -> float:
        """Give the processor time that it has used."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - of the kernel
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def terminate(self, patience: float = 60.0) -> int:
        """Tell it to end, as a kubelet does, and give its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(patience)


@contextmanager
def operating(
    kubeconfig: Path | None,
    redis: RedisServer,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    ready: bool = True,
    entry: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[OperatorProcess]:
    """Run it while inside.

    Args:
        kubeconfig: how it reaches the API server; None where the environment says it.
        redis: the Redis of the chart.
        folder: where its log is appended to.
        settings: its settings, without the prefix, besides the usual ones.
        ready: wait until it is, or has ended.
        entry: words before the command.
        environment: variables besides its settings.
    """
    port = free_port()
    password = folder / "password"
    password.write_text(ADMIN_PASSWORD)
    usual = {
        "HTTP_PORT": str(port),
        "INSTANCE": "operator-0",
        "AGENT_IMAGE": "sam2-tracker-agent:test",
        "REDIS_URL": f"redis://admin@127.0.0.1:{redis.port}/0",
        "REDIS_PASSWORD_FILE": str(password),
        "LOG_FORMAT": "json",
        **(settings or {}),
    }
    variables = dict(environment or {})
    if kubeconfig is not None:
        variables["KUBECONFIG"] = str(kubeconfig)
    log = folder / "operator.log"
    with operator_process(usual, log, environment=variables, entry=entry) as process:
        operator = OperatorProcess(process, port, log)
        if ready:
            wait_for(
                lambda: operator.get("/readyz")[0] == 200 or process.poll() is not None,
                "the operator",
                within=90,
            )
        yield operator
