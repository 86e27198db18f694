"""`python -m sam2_agent.model`, whose calls are written down, or which is no model; see `traced_agent`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from benchmarks.speed.paced_tracker import PacedTracker
from benchmarks.speed.tracing import FORWARD, MODEL_POINTS, Tracer
from sam2_agent import model


def main() -> None:
    """Wrap, then answer, which never returns."""
    tracer = Tracer(model_spans(Path(os.environ["BENCHMARK_SPANS"])), at="forward")
    for point in MODEL_POINTS:
        tracer.watch(point)
    if os.environ.get("BENCHMARK_FORWARD"):
        for point in FORWARD:
            tracer.watch(point, synchronizer(os.environ["SAM2_AGENT_DEVICE"]))
    line, apart = model.ends(sys.argv[1:])
    if paced := os.environ.get("BENCHMARK_PACED"):
        frame, each = map(float, paced.split())
        model.main(line, apart, load=lambda _: PacedTracker(frame, each))
    model.main(line, apart)


def model_spans(agents: Path) -> Path:
    """The file of the model's spans beside that of its agent's."""
    return agents.with_suffix(".model.jsonl")


def synchronizer(device: str) -> Callable[[], object]:
    """What waits for the model's device; on a CPU nothing does."""
    if torch.device(device).type == "cpu":
        return lambda: None
    return partial(torch.cuda.synchronize, torch.device(device))


if __name__ == "__main__":
    main()
