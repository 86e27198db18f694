"""`python -m sam2_agent`, whose calls are written down; those of its model, too (`traced_model`).

Settings are the agent's own, and:

BENCHMARK_SPANS      the file that spans are written to; the model's are in another beside it
BENCHMARK_FORWARD    1: the network's forward passes, too, for which a GPU is waited for
BENCHMARK_PACED      seconds a frame and seconds an object, "0.03 0.003": there is no model, only its time and
                     records as large as a published model's
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.tracing import POINTS, Tracer
from sam2_agent.adapters import model_process
from sam2_agent.adapters.model_channel import Descriptors


def main() -> None:
    """Wrap, then run the agent, which never returns."""
    tracer = Tracer(Path(os.environ["BENCHMARK_SPANS"]), at="complete")
    for point in POINTS:
        tracer.watch(point)
    model_process.launch = _launch
    runpy.run_module("sam2_agent", run_name="__main__", alter_sys=True)


def _launch(model: Descriptors, apart: Descriptors) -> model_process.Process:
    descriptors = (*model, *apart)
    command = [sys.executable, "-m", "benchmarks.speed.traced_model", *map(str, descriptors)]
    return subprocess.Popen(command, pass_fds=descriptors, start_new_session=True)


if __name__ == "__main__":
    main()
