"""Misbehaviour on request: which calls are spoiled, how, and how often.

A fault names a route as the OpenAPI document does (`POST /api/functions/{id}/run`; `*` as the method is any;
a final `**` in the path is any rest), may ask for query parameters, lets the first `skip` calls pass and then
takes `times` calls (None: until cleared). The oldest fault that fits a call takes it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

When = Literal["before", "after"]
"""Whether a fault comes before anything is done, or after it is."""


class _Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    route: str = Field(pattern=r"^(\*|[A-Z]+) /\S*$")
    query: dict[str, str] = {}
    times: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)


class AnswerStatus(_Fault):
    """Answer an error, before doing anything or after having done it all."""

    kind: Literal["status"] = "status"
    when: When = "before"
    status: int = Field(ge=400, le=599)
    detail: str = "The server misbehaves on request."
    retry_after: str | None = None


class AnswerIngress(_Fault):
    """Answer an ingress controller's HTML page, as when it has no backend or lost it."""

    kind: Literal["ingress"] = "ingress"
    when: When = "before"
    status: int = Field(default=404, ge=400, le=599)


class DropRequest(_Fault):
    """Cut the connection before doing anything."""

    kind: Literal["drop_request"] = "drop_request"


class DropReply(_Fault):
    """Do all that is asked, then cut the connection instead of answering."""

    kind: Literal["drop_reply"] = "drop_reply"


class TruncateReply(_Fault):
    """Do all that is asked, then cut the connection in the middle of the answer's body."""

    kind: Literal["truncate_reply"] = "truncate_reply"


class Redirect(_Fault):
    """Send elsewhere, as a proxy does that wants a login, or another address."""

    kind: Literal["redirect"] = "redirect"
    status: int = Field(default=302, ge=300, le=399)
    location: str


class Trickle(_Fault):
    """Do what is asked; send the answer's body slowly: in that many pieces, with a pause before each."""

    kind: Literal["trickle"] = "trickle"
    pieces: int = Field(ge=1)
    seconds: float = Field(gt=0, description="real ones, before each piece")


class Stall(_Fault):
    """Wait, then behave: before doing anything, or between doing it and answering."""

    kind: Literal["stall"] = "stall"
    when: When = "before"
    seconds: float | None = Field(default=None, gt=0, description="None: until released")


Fault = Annotated[
    AnswerStatus | AnswerIngress | DropRequest | DropReply | TruncateReply | Redirect | Trickle | Stall,
    Field(discriminator="kind"),
]


@lru_cache(maxsize=256)
def _compiled(route: str) -> tuple[str, re.Pattern[str]]:
    method, path = route.split(" ", 1)
    parts = re.split(r"(\{[^}]*\}|\*\*$)", path)
    expression = "".join(
        ".*" if part == "**" else "[^/]+" if part.startswith("{") else re.escape(part) for part in parts
    )
    return method, re.compile(expression)


def route_matches(route: str, method: str, path: str) -> bool:
    """Whether a call is on the route, for example `POST /api/functions/{id}/run`."""
    wanted, expression = _compiled(route)
    return wanted in {"*", method} and expression.fullmatch(path) is not None


@dataclass(slots=True)
class _Armed:
    id: int
    fault: Fault
    seen: int = 0
    taken: int = 0


class Faults:
    """The faults that are set. Use in the server's event loop."""

    def __init__(self) -> None:
        self._ids = count(1)
        self._armed: list[_Armed] = []
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> int:
        """Set a fault; returns its id."""
        armed = _Armed(next(self._ids), fault)
        self._armed.append(armed)
        return armed.id

    def clear(self, fault_id: int | None = None) -> None:
        """Remove one fault or all of them, and release who stalls."""
        self._armed = [armed for armed in self._armed if fault_id not in {None, armed.id}]
        self.release()

    def release(self) -> None:
        """Let all that stall at this moment go on."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    async def released(self) -> None:
        """Return at the next release."""
        await self._released.wait()

    def taken(self, fault_id: int) -> int:
        """How many calls the fault has taken."""
        return next((armed.taken for armed in self._armed if armed.id == fault_id), 0)

    def take(self, method: str, path: str, query: Mapping[str, str]) -> Fault | None:
        """The fault that this call meets, if any, and count it."""
        for armed in self._armed:
            fault = armed.fault
            exhausted = fault.times is not None and armed.taken >= fault.times
            wanted = all(query.get(name) == value for name, value in fault.query.items())
            if exhausted or not wanted or not route_matches(fault.route, method, path):
                continue
            armed.seen += 1
            if armed.seen > fault.skip:
                armed.taken += 1
                return fault
        return None
