"""The request log: who asked what, when, and what came of it. No headers, no bodies, no secrets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime

from pydantic import BaseModel

from tests.cvat_standin.faults import route_matches

_CAPACITY = 100_000


class LogEntry(BaseModel):
    """One call to `/api/`."""

    number: int
    time: datetime
    method: str
    path: str
    query: str = ""
    user: str | None = None
    organization: str | None = None
    agent_id: str | None = None
    user_agent: str = ""
    client: str = ""
    """The address that the call came from."""
    status: int | None = None
    """None while it runs, and when the connection was cut before an answer."""
    milliseconds: float | None = None
    fault: str | None = None


class Journal:
    """The last calls, oldest first."""

    def __init__(self, on_end: Callable[[LogEntry], None] = lambda _entry: None) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=_CAPACITY)
        self._count = 0
        self._on_end = on_end

    def __iter__(self) -> Iterator[LogEntry]:
        return iter(list(self._entries))

    def begin(
        self, method: str, path: str, query: str, time: datetime, *, user_agent: str, client: str
    ) -> LogEntry:
        """Note that a call came; fill the rest in as it becomes known."""
        self._count += 1
        entry = LogEntry(
            number=self._count,
            time=time,
            method=method,
            path=path,
            query=query,
            user_agent=user_agent,
            client=client,
        )
        self._entries.append(entry)
        return entry

    def end(self, entry: LogEntry, milliseconds: float) -> None:
        """Note that a call is over."""
        entry.milliseconds = round(milliseconds, 3)
        self._on_end(entry)

    def on_route(self, route: str | None) -> list[LogEntry]:
        """The calls on a route (`POST /api/functions/{id}/run`), or all."""
        return [entry for entry in self if route is None or route_matches(route, entry.method, entry.path)]

    def counters(self) -> dict[str, int]:
        """Calls by method, path (with `{id}` for numbers and request ids) and status."""
        counts: dict[str, int] = {}
        for entry in self:
            path = "/".join("{id}" if _is_id(part) else part for part in entry.path.split("/"))
            key = f"{entry.method} {path} {entry.status if entry.status is not None else 'cut'}"
            counts[key] = counts.get(key, 0) + 1
        return counts


def _is_id(part: str) -> bool:
    return part.isdecimal() or part.startswith("function:") or (len(part) == 36 and part.count("-") == 4)
