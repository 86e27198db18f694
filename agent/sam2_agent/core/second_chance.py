"""Where the device has no memory left: give back what is only kept for speed, and try once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sam2_agent.core.ports import Compute
from sam2_agent.core.recent import Recent
from sam2_agent.errors import DeviceOutOfMemory

P = ParamSpec("P")
T = TypeVar("T")


class SecondChance:
    """A `Compute` for functions that may be called twice.

    The tracker halved its batch down to one object before it raised `DeviceOutOfMemory`; encoded frames and
    memories of other requests may still fill the device, and are read from CVAT and Redis when needed.
    """

    def __init__(self, compute: Compute, recent: Recent) -> None:
        self._compute = compute
        self._recent = recent

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` and return what it returns; raises `DeviceOutOfMemory` if it fails again."""
        try:
            return await self._compute(function, *args, **kwargs)
        except DeviceOutOfMemory:
            self._recent.memories.clear()
            self._recent.features.clear()
            self._recent.foreseen.clear()
        return await self._compute(function, *args, **kwargs)
