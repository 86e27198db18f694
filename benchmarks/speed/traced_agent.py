"""`python -m sam2_agent`, whose calls are written down.

Settings are the agent's own, and:

BENCHMARK_SPANS      the file that spans are written to
BENCHMARK_FORWARD    1: the network's forward passes, too, for which a GPU is waited for
BENCHMARK_PACED      seconds a frame and seconds an object, "0.03 0.003": there is no model, only its time and
                     records as large as a published model's
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.speed.paced_tracker import PacedTracker
from benchmarks.speed.tracing import FORWARD, PACED, POINTS, Tracer
from sam2_agent.adapters import model_loading
from sam2_agent.core.tracking import Tracker


def main() -> None:
    """Wrap, then run the agent, which never returns."""
    tracer = Tracer(Path(os.environ["BENCHMARK_SPANS"]))
    for point in POINTS:
        tracer.watch(point)
    if os.environ.get("BENCHMARK_FORWARD"):
        for point in FORWARD:
            tracer.watch(point, _synchronizer())
    if paced := os.environ.get("BENCHMARK_PACED"):
        for point in PACED:
            tracer.watch(point)
        frame, each = map(float, paced.split())
        model_loading.load_model = lambda chosen: _paced(frame, each)  # noqa: ARG005
    runpy.run_module("sam2_agent", run_name="__main__", alter_sys=True)


def _paced(frame: float, each: float) -> Tracker:
    return PacedTracker(frame, each)


def _synchronizer() -> Callable[[], object]:
    return torch.cuda.synchronize if torch.cuda.is_available() else lambda: None


if __name__ == "__main__":
    main()
