"""How much is tried where there is too much to try: the day's sample, or everything.

Every run of a day draws the same, so that processes that share the tests agree and a failure can be repeated.
"""

from __future__ import annotations

import os
import time

SEED_VARIABLE = "SAM2_TEST_SEED"
"""Set it to repeat what a run of another day drew."""

FULL = os.environ.get("SAM2_TEST_FULL") == "1"
"""Whether to try everything, as `make test-full` does."""


def todays_seed() -> int:
    """Return the seed that the environment names, else the number of the day since 1970."""
    return int(os.environ.get(SEED_VARIABLE) or time.time() // 86_400)
