"""The seed of tests that draw what they try: the day's, so that every run of a day tries the same."""

from __future__ import annotations

import os
import time

VARIABLE = "SAM2_TEST_SEED"
"""Set it to repeat what a run of another day tried."""


def todays_seed() -> int:
    """Return the seed that the environment names, else the number of the day since 1970."""
    return int(os.environ.get(VARIABLE) or time.time() // 86_400)
