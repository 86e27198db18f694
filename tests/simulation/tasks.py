"""The tasks in the simulated CVAT."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 24, 18
FRAMES = {1: 40, 2: 9}
"""How many frames each task has; the second is shorter than what SAM2 looks back."""


@cache
def picture(task: int, frame: int) -> NDArray[np.uint8]:
    """A frame that is like no other."""
    digest = hashlib.sha256(f"{task} {frame}".encode()).digest()
    pixels = np.frombuffer(digest * (WIDTH * HEIGHT * 3 // 32 + 1), np.uint8)
    return pixels[: WIDTH * HEIGHT * 3].reshape(HEIGHT, WIDTH, 3)
