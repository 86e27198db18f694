"""The gate through which all calls of one operator pass: it numbers them, and acts at one."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

When = Literal["before", "after"]
T = TypeVar("T")


class CutOffError(Exception):
    """The caller gets no answer."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as its caller would name it."""

    label: str
    writes: bool


class Gate:
    """Numbers calls while it is armed; lets them pass unseen while it is not."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._armed = False
        self._number: int | None = None
        self._when: When = "before"
        self._act: Callable[[], None] = _nothing
        self.calls: list[Call] = []
        self.acted_at: Call | None = None

    def arm(
        self, number: int | None = None, when: When = "before", act: Callable[[], None] | None = None
    ) -> None:
        """Number calls from 0 on, and act at one of them; `act` may raise `CutOffError`."""
        with self._lock:
            self.calls, self.acted_at = [], None
            self._number, self._when, self._act, self._armed = number, when, act or _nothing, True

    def disarm(self) -> None:
        """Let all calls pass."""
        with self._lock:
            self._armed = False

    def passing(self, call: Call, forward: Callable[[], T]) -> T:
        """Forward a call, with what was asked for around it.

        Raises:
            CutOffError: the caller is to get no answer.
        """
        here = self._is_here(call)
        if here and self._when == "before":
            self._act()
        answer = forward()
        if here and self._when == "after":
            self._act()
        return answer

    def _is_here(self, call: Call) -> bool:
        with self._lock:
            if not self._armed:
                return False
            number = len(self.calls)
            self.calls.append(call)
            if number != self._number:
                return False
            # What the action itself does, and whatever follows, is not to be numbered.
            self._armed, self.acted_at = False, call
            return True


def _nothing() -> None:
    return
