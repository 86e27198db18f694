"""An event loop whose time passes at once: when nothing is ready, it jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing; counts what it was asked to wait."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.waited += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.waited


class AtOnce(Executor):
    """Runs what it is given before it answers, in the same thread."""

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            done.set_exception(error)
        return done


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time that begins at 0."""
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(story)
