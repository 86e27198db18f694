"""CVAT: its functions, who sees them, when lists contain them, and what stands before it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

JSON = "application/vnd.cvat+json"
HTML = "text/html"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    data: bytes


@dataclass(slots=True)
class Made:
    """A function, and what only the simulation knows of it."""

    id: int
    name: str
    visibility: str
    shapes: tuple[str, ...]
    owner: int
    made_for: str | None
    """Uid of the tracker for which the operator asked for it; None for what people made."""
    listed_from: float
    late: float = 0.0
    """Seconds between its making and its being listed, at most."""
    is_one_of_two: bool = False
    """Whether something on the way repeated the request, and made another one."""


@dataclass
class CVAT:
    """One CVAT; `made_for` tells for which tracker a request is."""

    now: Callable[[], float]
    rng: Random
    hidden_as: Literal[403, 404]
    """How it answers somebody who asks for another's private function."""
    list_late: float = 0.0
    users: dict[str, int] = field(default_factory=lambda: {"ann": 1, "bob": 2})
    functions: dict[int, Made] = field(default_factory=dict)
    ever: dict[int, Made] = field(default_factory=dict)
    deleting: Callable[[Made, str | None], None] = lambda _made, _tracker: None
    """Told of each function that is deleted, and of the uid of the tracker for which that is asked."""
    asks_to_wait_until: float = 0.0
    not_routed: str | None = None
    """Beginning of the paths for which the ingress finds no CVAT behind it."""
    asked_too_early: int = 0
    """How many requests came although CVAT had asked to wait, and the asker knew."""
    _told_to_wait: dict[str, float] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def make(self, name: str, owner: int, *, made_for: str | None = None, **changes: Any) -> Made:
        """Make a function."""
        late = self.rng.uniform(0, self.list_late)
        made = Made(
            id=next(self._ids),
            name=name,
            visibility=changes.get("visibility", "private"),
            shapes=tuple(changes.get("shapes", ("mask", "polygon", "rectangle"))),
            owner=owner,
            made_for=made_for,
            listed_from=self.now() + late,
            late=late,
        )
        self.functions[made.id] = self.ever[made.id] = made
        return made

    def show_all(self) -> None:
        """List everything from now on."""
        self.list_late = 0.0
        for each in self.functions.values():
            each.listed_from = 0.0

    def delivered(self, response: Response, token: str, *, asker: str) -> None:
        """Note that an asker knows by now that it is to wait."""
        if response.status == 429:
            self._told_to_wait[asker + token] = self.now() + float(response.headers["Retry-After"])

    def answer(
        self, verb: str, path: str, token: str, body: Any, *, made_for: str | None, asker: str
    ) -> Response:
        """Answer a request; `asker` is the process that asks."""
        if self.not_routed is not None and path.startswith(self.not_routed):
            return Response(404, {"Content-Type": HTML}, b"<h1>404: no backend</h1>")
        if self.now() < self.asks_to_wait_until:
            self.asked_too_early += self.now() < self._told_to_wait.get(asker + token, 0.0) - 0.5
            left = self.asks_to_wait_until - self.now()
            return Response(
                429, {"Content-Type": JSON, "Retry-After": f"{left:.0f}"}, b'{"detail": "throttled"}'
            )
        user = self.users.get(token.removeprefix("token-of-"))
        if user is None:
            return _json(401, {"detail": "Invalid token."})
        if path == "/api/users/self":
            return _json(200, {"id": user, "username": token.removeprefix("token-of-")})
        return self._functions(verb, path, user, body, made_for)

    def _functions(self, verb: str, path: str, user: int, body: Any, made_for: str | None) -> Response:
        if path == "/api/functions":
            if verb == "POST":
                shapes = body["supported_shape_types"]
                changes = {"visibility": body["visibility"], "shapes": shapes}
                return _json(201, _document(self.make(body["name"], user, made_for=made_for, **changes)))
            seen = [each for each in self.functions.values() if each.listed_from <= self.now()]
            visible = [_document(each) for each in seen if each.visibility == "public" or each.owner == user]
            return _json(200, {"results": visible, "next": None})
        made = self.functions.get(int(path.rpartition("/")[2]))
        if made is None:
            return _not_found()
        if made.owner != user and (verb == "DELETE" or made.visibility != "public"):
            hidden = self.hidden_as == 404 and made.visibility != "public"
            return _not_found() if hidden else _json(403, {"detail": "You do not have permission."})
        if verb == "DELETE":
            del self.functions[made.id]
            self.deleting(made, made_for)
            return Response(204, {"Content-Type": JSON}, b"")
        return _json(200, _document(made))


def _document(made: Made) -> dict[str, Any]:
    return {
        "id": made.id,
        "provider": "native",
        "kind": "tracker",
        "name": made.name,
        "visibility": made.visibility,
        "supported_shape_types": list(made.shapes),
        "owner": {"id": made.owner, "username": "ann" if made.owner == 1 else "bob"},
    }


def _not_found() -> Response:
    return _json(404, {"detail": "No Function matches the given query."})


def _json(status: int, body: Any) -> Response:
    return Response(status, {"Content-Type": JSON}, json.dumps(body).encode())
