"""What CVAT asks: assignments as they come from the queue, and as they are recorded meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from sam2_agent.core.records import seal, unseal
from sam2_agent.core.state import MAX_CHARACTERS, MAX_FRAME, MAX_TASK
from sam2_agent.errors import DamagedRecord, RequestRefused

MAX_OBJECTS = 32
"""How many objects CVAT's interface sends in one request."""

MAX_POINTS = 2**19
"""Numbers in one shape; a mask with more is longer than a state's prompt may be."""

MAX_NAME = 64
"""The longest type of a request or shape that is told to somebody."""

MAX_BODY = 2**26
"""The longest request that is read, in bytes; 32 of the largest states are half of it."""

Category: TypeAlias = Literal["interactive", "batch"]
CATEGORIES: tuple[Category, ...] = ("interactive", "batch")
"""Most urgent first: behind an interactive request a person is waiting."""


class Assignment(BaseModel):
    """A request that CVAT handed to this agent, its parameters not looked at yet."""

    model_config = ConfigDict(frozen=True)

    ar_id: Annotated[str, Field(min_length=1, max_length=1024)]
    ar_params: dict[str, JsonValue]


class _Acquired(BaseModel):
    ar_assignment: Assignment | None


class _Named(BaseModel):
    """As much of an assignment as it takes to refuse it."""

    class Assignment(BaseModel):
        ar_id: Annotated[str, Field(min_length=1, max_length=1024)]

    ar_assignment: Assignment


def read_acquired(body: bytes) -> Assignment | None:
    """Read CVAT's answer to an agent that asks for work; None where there is none.

    The parameters come from users.  If they cannot be read (too much, too deep, half a surrogate pair, an
    endless number) the request must still be refused, or it would block the queue for ever: so others take
    their place, which are refused.

    Raises:
        ValueError: this is no such answer.
    """
    if len(body) > MAX_BODY:
        return _unreadable(body, "oversized")
    try:
        return _Acquired.model_validate_json(body).ar_assignment
    except ValidationError:
        return _unreadable(body, "unreadable")


def _unreadable(body: bytes, kind: str) -> Assignment:
    try:
        named = _Named.model_validate(json.loads(body, parse_int=float))
    except RecursionError as error:
        raise ValueError("too deep") from error
    return Assignment(ar_id=named.ar_assignment.ar_id, ar_params={"type": kind})


class Recorded(BaseModel):
    """An assignment as it is kept in Redis; `attempts` counts the agents that began to work on it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", ser_json_inf_nan="constants")

    assignment: Assignment
    attempts: Annotated[int, Field(ge=0)] = 0

    def dump(self) -> bytes:
        """Write the record."""
        return seal("request", self.assignment.ar_id, self.model_dump_json().encode())

    @staticmethod
    def load(data: bytes, ar_id: str) -> Recorded:
        """Read the record of a request; raises `DamagedRecord`."""
        try:
            return Recorded.model_validate_json(unseal("request", ar_id, data))
        except ValidationError as error:
            raise DamagedRecord("A recorded request cannot be read.") from error


class Shape(BaseModel):
    """A shape as CVAT sends it; `rotation` is in degrees, clockwise."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[str, Field(max_length=MAX_NAME)]
    points: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MAX_POINTS)]
    rotation: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class InitTracking(BaseModel):
    """Begin to track these shapes from this frame."""

    model_config = ConfigDict(frozen=True)

    type: Literal["init_tracking"]
    task: Annotated[int, Field(ge=0, le=MAX_TASK)]
    frame: Annotated[int, Field(ge=0, le=MAX_FRAME)]
    shapes: Annotated[list[Shape], Field(min_length=1)]

    def digest(self) -> str:
        """Tell this request from any other that asks for something else."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Track(BaseModel):
    """Find the objects of these states on this frame."""

    model_config = ConfigDict(frozen=True)

    type: Literal["track"]
    task: Annotated[int, Field(ge=0, le=MAX_TASK)]
    frame: Annotated[int, Field(ge=0, le=MAX_FRAME)]
    states: Annotated[list[Annotated[str, Field(max_length=MAX_CHARACTERS)]], Field(min_length=1)]


Request: TypeAlias = Annotated[InitTracking | Track, Field(discriminator="type")]
_REQUEST: TypeAdapter[InitTracking | Track] = TypeAdapter(Request)


def parse(parameters: Mapping[str, JsonValue]) -> InitTracking | Track:
    """Read the parameters of a request; raises `RequestRefused` with the annotator's sentence."""
    kind = parameters.get("type")
    if kind not in ("init_tracking", "track"):
        name = (
            kind
            if isinstance(kind, str) and kind.isidentifier() and len(kind) <= MAX_NAME
            else "of another kind"
        )
        raise RequestRefused(f"This function tracks objects; it cannot answer {name} requests.")
    for field in ("shapes", "states"):
        objects = parameters.get(field)
        if isinstance(objects, list) and len(objects) > MAX_OBJECTS:
            raise RequestRefused(
                f"{len(objects)} objects are too many for one request; track at most {MAX_OBJECTS} at once."
            )
    try:
        return _REQUEST.validate_python(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "its parameters"
        raise RequestRefused(f"The tracking request is not understood ({where}: {first['msg']}).") from error


def weight(parameters: Mapping[str, JsonValue]) -> int:
    """About how many characters and numbers have to be read."""
    total = 0
    for field in ("shapes", "states"):
        objects = parameters.get(field)
        for each in objects if isinstance(objects, list) else ():
            content = each.get("points") if isinstance(each, dict) else each
            total += len(content) if isinstance(content, str | list) else 0
    return total


def describe(parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The few parameters that a log line names; what is long or no plain value is left out."""
    objects = parameters.get("shapes") or parameters.get("states") or []
    return {
        **{name: _plain(parameters.get(name)) for name in ("type", "task", "frame")},
        "objects": len(objects) if isinstance(objects, list) else None,
    }


def _plain(value: JsonValue) -> JsonValue:
    return value if isinstance(value, str | int) and len(str(value)) <= MAX_NAME else None
