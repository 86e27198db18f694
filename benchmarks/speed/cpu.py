"""`make bench`: the small trained model, and sam2.1-hiera-tiny where a table asks for it, on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch

from benchmarks.speed.program import options, run


def main(arguments: Sequence[str]) -> int:
    """Measure; return the exit status."""
    return run("cpu", options("cpu").parse_args(arguments), device=torch.device("cpu"), published=("tiny",))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
