"""Whether the model moves: requests come and go while it hangs, so the agent's loop cannot tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sam2_agent.core.ports import Compute
from sam2_agent.core.status import Status

P = ParamSpec("P")
T = TypeVar("T")


class Watched:
    """A `Compute` that notes in the status when it came round."""

    def __init__(self, compute: Compute, status: Status) -> None:
        self._compute = compute
        self._status = status
        self._calls = 0

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` and return what it returns."""
        if not self._calls:
            self._status.moved("model")
        self._calls += 1
        try:
            return await self._compute(function, *args, **kwargs)
        finally:
            self._calls -= 1
            if self._calls:
                self._status.moved("model")
            else:
                self._status.rests("model")
