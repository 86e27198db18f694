"""The agents that are measured, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks import stock_function
from benchmarks.speed.models import Model
from benchmarks.speed.spans import Span, read_spans
from benchmarks.speed.traced_model import model_spans
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import AgentProcess

START_SECONDS = 600.0
"""To import torch and load a model, where others want the machine as well."""


class Agent(AgentProcess):
    """Ours, as people start it: `python -m sam2_agent`."""

    def __init__(self, folder: Path, settings: dict[str, str], threads: int | None = None) -> None:
        super().__init__(folder, settings, threads=threads, plain=True)

    def wait_ready(self) -> None:
        """Wait until the agent answers requests, on a slow machine, too."""
        self.wait_for(lambda: bool(self.status().get("ready")), START_SECONDS)

    def stop(self) -> None:
        """Stop in order: the lease is given up, so that the next agent need not wait for its end."""
        self.signal(signal.SIGTERM)
        self.wait_exit()


class TracedAgent(Agent):
    """Ours, and its calls are written down; `more` are variables of `traced_agent`."""

    def __init__(self, folder: Path, settings: dict[str, str], more: Mapping[str, str]) -> None:
        super().__init__(folder, settings)
        self._spans = folder / "spans.jsonl"
        self.environment |= {"BENCHMARK_SPANS": str(self._spans), **more}

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self._port = None
        self._seen = self.log_file.stat().st_size if self.log_file.exists() else 0
        command = [sys.executable, "-m", "benchmarks.speed.traced_agent"]
        with self.log_file.open("ab") as output:
            self._process = subprocess.Popen(command, env=self.environment, stdout=output, stderr=output)

    def spans(self, until: float) -> list[Span]:
        """All that was written, once a request is completed that was asked for at that moment or later."""

        def written() -> list[Span] | None:
            spans = read_spans(self._spans, model_spans(self._spans))
            done = any(span.name == "complete" and span.begin >= until for span in spans)
            return spans if done else None

        return wait_for(written, "the agent's spans")


@contextmanager
def stock_agent(
    home: Path,
    cvat: CVAT,
    *,
    url: str,
    function: int,
    token: str,
    model: Model,
    device: torch.device,
    threads: int | None = None,
) -> Iterator[None]:
    """The stock agent with `stock_function`, from when it watches its queue; it asks CVAT at `url`."""
    home.mkdir(parents=True)
    command = [sys.executable, "-m", "cvat_cli", "--server-host", url, "function", "run-agent", str(function)]
    command += ["--function-module", stock_function.__name__]
    for name, value in (("config", model.config), ("checkpoint", model.checkpoint), ("device", device)):
        command += ["-p", f"{name}=str:{value}"]
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CVAT_ACCESS_TOKEN": token,
        **({} if threads is None else {"OMP_NUM_THREADS": str(threads)}),
    }
    log = home / "agent.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )  # its worker processes outlive it when only it is ended
    try:
        try:
            cvat.wait_for_watchers(function, within=START_SECONDS)
        except AssertionError:
            raise RuntimeError(f"The stock agent did not start:\n{log.read_text()}") from None
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
