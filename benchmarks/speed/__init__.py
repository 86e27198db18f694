"""How fast the agent is: ours, the stock `cvat-cli` agent and SAM2's own loop, side by side in one run.

    make bench                   (or: python -m benchmarks.speed.cpu [TABLE ...])
    make bench-gpu               (or: python -m benchmarks.speed.gpu [TABLE ...])

Each table of `tables` is measured, printed with its goals, written to `benchmarks/results/` and drawn.  What
is compared takes turns, so that a slow moment of the machine falls on all alike.  Only ratios are worth
quoting: the machine's speed is the same for all, and cancels.
"""

from __future__ import annotations

import os

# Before torch is imported anywhere: spinning threads of several processes on few cores slow all of them down.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
