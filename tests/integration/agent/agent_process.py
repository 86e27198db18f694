"""The agent as a process of its own, with the small model, as somebody runs it on a workstation."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import nursery
from tests.tiny_sam2 import CONFIG, WEIGHTS

START_SECONDS = 90.0
PREFIX = "s2t:{test}:"


def children(pid: int) -> list[int]:
    """The processes that a process started and that run."""
    return [
        int(child)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


def watched(pid: int, seconds: float = 30.0) -> Callable[[], bool]:
    """Return what tells whether the process ends within so many seconds."""
    descriptor = os.pidfd_open(pid)
    return lambda: bool(select.select([descriptor], [], [], seconds)[0])


def _most_resident(pid: int) -> int:
    """Bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


class AgentProcess:
    """One agent; `settings` are its variables without the prefix SAM2_AGENT_.

    It is forked by a nursery, which has imported torch and the rest already; `plain` starts
    `python -m sam2_agent` as people do.  `threads` is for PyTorch; without it the tests' environment decides.
    """

    def __init__(
        self, folder: Path, settings: dict[str, str], *, threads: int | None = None, plain: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "agent.log"
        self.termination_file = folder / "termination"
        chosen = {
            **({} if settings.get("INTERFACE") == "serverless" else {"AGENT_ID": "s2t_test"}),
            "SHAPE_TYPES": "mask,polygon,rectangle",
            "MODEL_CONFIG": str(CONFIG),
            "MODEL_CHECKPOINT": str(WEIGHTS),
            "DEVICE": "cpu",
            "KEY_PREFIX": PREFIX,
            "LEASE_SECONDS": "3",
            "HTTP_PORT": "0",
            "LOG_FORMAT": "json",
            "TERMINATION_MESSAGE_FILE": str(self.termination_file),
            **settings,
        }
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAM2_AGENT_")},
            **{f"SAM2_AGENT_{name}": value for name, value in chosen.items()},
            "PYTHONPATH": os.pathsep.join(sys.path),  # it finds what the tests find
        }
        if threads is not None:
            self.environment["OMP_NUM_THREADS"] = str(threads)
        self._plain = plain
        self._process: subprocess.Popen[bytes] | nursery.Child | None = None
        self._port: int | None = None

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self._port = None
        self._seen = self.log_file.stat().st_size if self.log_file.exists() else 0
        if not self._plain:
            self._process = nursery.spawn(self.environment, self.log_file)
            return
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sam2_agent"], env=self.environment, stdout=output, stderr=output
            )

    def wait_ready(self) -> None:
        """Wait until the agent answers requests."""
        self.wait_for(lambda: bool(self.status().get("ready")), START_SECONDS)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for something about this agent; raises `AssertionError` with its log."""
        deadline = time.monotonic() + seconds
        while not condition():
            process = self._running()
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"exit status {process.poll()}, {self.status()}, log:\n{self.log_file.read_text()}"
                )
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().pid

    def exit_status(self) -> int | None:
        """The exit status; None while the process runs."""
        return self._running().poll()

    def wait_exit(self, seconds: float = 60.0) -> int:
        """Wait until the process ends; return its exit status."""
        return self._running().wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running().send_signal(number)

    def kill_now(self) -> None:
        """Send SIGKILL and return at once."""
        self._running().kill()

    def kill(self) -> None:
        """Kill the process as a crash would, and wait for its end."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        if self._process:
            self._process.wait()

    def status(self) -> dict[str, Any]:
        """What /status says; empty while the agent does not answer."""
        try:
            found: dict[str, Any] = json.loads(self.get("/status"))
        except OSError:
            return {}
        return found

    def door(self) -> str:
        """The URL of the door of an agent that is called."""
        return f"http://127.0.0.1:{self._told('Calls are taken')}/"

    def get(self, path: str) -> bytes:
        """GET one of the agent's endpoints; raises `OSError` where it does not answer 200."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port()}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def metric(self, name: str) -> float:
        """The sum of one metric over its labels."""
        lines = self.get("/metrics").decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name
        )

    def memory(self) -> int:
        """The most resident memory that the process and its model's ever had, in bytes."""
        return sum(_most_resident(each) for each in (self.pid, *children(self.pid)))

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        lines = self.log_file.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def _running(self) -> subprocess.Popen[bytes] | nursery.Child:
        if self._process is None:
            raise AssertionError("the agent was not started")
        return self._process

    def _http_port(self) -> int:
        if self._port is None:
            self._port = self._told("The agent starts")
        return self._port

    def _told(self, message: str) -> int:
        """The port that a line of the log names."""
        text = self.log_file.read_bytes()[self._seen :].decode()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        ports = [line["port"] for line in lines if line.get("message") == message]
        if not ports:
            raise ConnectionRefusedError
        port: int = ports[-1]
        return port
