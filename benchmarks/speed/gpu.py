"""`make bench-gpu`: sam2.1-hiera-tiny and -large at 1024 pixels, and the small model, on a GPU.

`--device cpu` takes the same way on a CPU, to see that it works where there is no GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.speed.program import options, run
from sam2_agent.adapters.sam2_device import open_device
from sam2_agent.errors import DeviceUnavailable


def main(arguments: Sequence[str]) -> int:
    """Measure; return the exit status: 2 where there is no such device."""
    parser = options("gpu")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu; default cuda")
    chosen = parser.parse_args(arguments)
    try:
        device = open_device(chosen.device)
    except DeviceUnavailable:
        print(
            f"bench-gpu measures on {chosen.device}, but PyTorch sees no such CUDA device here; "
            "run it on a machine with a GPU, or `make bench` for the CPU.",
            file=sys.stderr,
        )
        return 2
    return run("gpu", chosen, device=device, published=("tiny", "large"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
