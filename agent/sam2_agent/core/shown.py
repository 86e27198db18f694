"""Images that callers bring, decoded and encoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from sam2_agent.core.ports import Compute
from sam2_agent.core.recent import Recent
from sam2_agent.core.tracking import Features, Tracker


class Shown:
    """Images that callers bring, as long as they are shown."""

    def __init__(self, tracker: Tracker, compute: Compute, recent: Recent) -> None:
        self._tracker = tracker
        self._compute = compute
        self._recent = recent
        self._read: dict[str, Callable[[], NDArray[np.uint8]]] = {}

    @contextmanager
    def showing(self, picture: str, read: Callable[[], NDArray[np.uint8]]) -> Iterator[None]:
        """Have an image at hand, which `read` decodes when it is needed; may raise `RequestRefused`."""
        self._read[picture] = read
        try:
            yield
        finally:
            del self._read[picture]

    async def encoded(self, picture: str) -> Features:
        """Return the encoded image; raises `RequestRefused`."""
        features = self._recent.features.get(picture)
        if features is None:
            read = self._read[picture]
            features = await self._compute(lambda: self._tracker.encode(self._tracker.resize(read())))
            self._recent.features.put(picture, features)
        return features
