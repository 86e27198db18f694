"""The gateway as the process that the image starts, and CVAT's calls of it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cvat_standin.waiting import wait_for
from tests.ports import free_ports

ROOT = Path(__file__).parents[3]
KEY = "the-key-of-the-doors-of-all-agents"
OF_THE_PROCESS = 100 * 2**20
"""Memory of a gateway that has nothing to do, at most."""
OF_ONE_WAITING = 5 * 2**17
"""Memory that a call takes which waits for room, at most: two of uvloop's pieces, and its connection."""
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**20), "MALLOC_TRIM_THRESHOLD_": str(2**26)}
"""How the chart sets glibc's allocator."""


@dataclass(frozen=True)
class Reply:
    """What the gateway answered."""

    status: int
    reason: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Gateway:
    """A running `python -m sam2_operator gateway`."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, health: int, log: Path) -> None:
        self.process, self.port, self._health, self._log = process, port, health, log

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, headers=headers)

    def invoke(
        self,
        name: str,
        body: bytes | Iterable[bytes] = b"{}",
        *,
        timeout: str | None = "20s",
        length: int | None = None,
        path: str = "/api/function_invocations",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Call a function as CVAT does."""
        usual = {
            "x-nuclio-project-name": "cvat",
            "x-nuclio-function-namespace": "nuclio",
            "x-nuclio-function-name": name,
            "x-nuclio-path": "/",
            "x-nuclio-invoke-via": "domain-name",
            "Content-Type": "application/json",
        }
        if timeout is not None:
            usual["X-Nuclio-Invoke-Timeout"] = timeout
        if length is not None:
            usual["Content-Length"] = str(length)
        return self.request("POST", path, body=body, headers={**usual, **(headers or {})})

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.reason, answer.read().decode())
        finally:
            connection.close()

    def health(self, path: str) -> Reply | None:
        """Ask for its health or metrics; None while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._health, timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return Reply(answer.status, answer.reason, answer.read().decode())
        except OSError:
            return None
        finally:
            connection.close()

    def is_ready(self) -> bool:
        told = self.health("/readyz")
        return told is not None and told.status == 200

    def accepts(self) -> bool:
        """Whether it still takes connections of CVAT."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def metric(self, sample: str) -> float:
        told = self.health("/metrics")
        assert told is not None
        found = [line.rpartition(" ")[2] for line in told.text.splitlines() if line.startswith(f"{sample} ")]
        return float(found[0]) if found else 0.0

    def log(self) -> str:
        return self._log.read_text()

    def memory(self) -> int:
        """The most resident memory that it ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)


@contextmanager
def gateway(kubeconfig: Path, folder: Path, **settings: str) -> Iterator[Gateway]:
    """Run it while inside; trackers are named after the ports of their agents."""
    port, health = free_ports(2)
    key = folder / "door-key"
    key.write_text(KEY)
    usual = {
        "PORT": str(port),
        "HTTP_PORT": str(health),
        "DOOR_KEY_FILE": str(key),
        "DOOR_ADDRESS": "http://127.0.0.1:{name}",
        "INTERVAL_SECONDS": "0.1",
        "LINGER_SECONDS": "0",
        "LOG_FORMAT": "json",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAM2_")}
    environment |= {f"SAM2_GATEWAY_{name}": value for name, value in usual.items()}
    environment |= {"PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(kubeconfig), **ALLOCATOR}
    log = folder / "gateway.log"
    with log.open("ab") as output:
        command = [sys.executable, "-m", "sam2_operator", "gateway"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    running = Gateway(process, port, health, log)
    try:
        wait_for(
            lambda: running.health("/livez") is not None or process.poll() is not None,
            "the gateway",
            within=60,
        )
        yield running
    finally:
        process.kill()
        process.wait()
        sys.stderr.write(running.log())
