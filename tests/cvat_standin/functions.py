"""Registered functions, and lists that show new ones late: plain state, no HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from tests.cvat_standin.accounts import Organization, User
from tests.cvat_standin.errors import not_found


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it was registered; CVAT cannot change one."""

    id: int
    provider: str
    name: str
    kind: str
    visibility: str
    supported_shape_types: tuple[str, ...]
    owner: User
    organization: Organization | None
    created: datetime
    labels: tuple[dict[str, Any], ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    listed_from: float | None = 0.0
    """The instant from which lists contain it; None: not before somebody releases the lists."""


class Functions:
    """All functions of the server; ids only grow."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._functions: dict[int, Function] = {}
        self._removed: dict[int, Function] = {}
        self._released_up_to = 0
        self.list_delay: float | None = 0.0
        """Seconds until a function made from now on is listed; None: until `release`."""

    def __iter__(self) -> Iterator[Function]:
        return iter(list(self._functions.values()))

    def next_id(self) -> int:
        """An id never given before."""
        return next(self._ids)

    def listed_from(self, now: float) -> float | None:
        """From when on lists contain a function that is made now."""
        return None if self.list_delay is None else now + self.list_delay

    def add(self, function: Function) -> None:
        """Register a function."""
        self._functions[function.id] = function

    def get(self, function_id: int) -> Function:
        """The function of that id. Raises `ApiError` 404."""
        function = self._functions.get(function_id)
        if function is None:
            raise not_found("Function")
        return function

    def remove(self, function_id: int) -> None:
        """Delete the function. Raises `ApiError` 404."""
        self._removed[function_id] = self.get(function_id)
        del self._functions[function_id]

    def restore(self, function_id: int) -> None:
        """Have a deleted function again, as after a restored backup. Raises `ApiError` 404."""
        if function_id not in self._removed:
            raise not_found("Function")
        self._functions[function_id] = self._removed.pop(function_id)

    def listed(self, now: float) -> list[Function]:
        """The functions that lists contain at this instant, oldest first."""
        return [function for function in self if self._is_listed(function, now)]

    def release(self) -> None:
        """Show at once all that was kept back, and keep nothing back from now on."""
        self.list_delay = 0.0
        self._released_up_to = max(self._functions, default=0)

    def _is_listed(self, function: Function, now: float) -> bool:
        if function.id <= self._released_up_to:
            return True
        return function.listed_from is not None and function.listed_from <= now
