"""What CVAT sends to a serverless tracker: one image, and for each object a shape to begin with or a state.

    {"image": base64, "shapes": [{"type", "points"}, null, ...], "states": [null, what we answered, ...]}

Either list may be shorter than the other, or missing: what is not there counts as null.  CVAT before
supported shape types knows rectangles only, as bare lists of four numbers, and sends the last ones beside the
states, which count.  Calls come through users' browsers and are untrusted: every error is a sentence for the
annotator.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from sam2_agent.core.chain import read_state
from sam2_agent.core.requests import MAX_NAME, MAX_POINTS
from sam2_agent.errors import RequestRefused

MAX_BODY = 2**27
"""The longest call that is read, in bytes; nearly all of it is the image."""

MAX_OBJECTS = 256
"""CVAT sends all objects of one kind at once, however many they are."""

MAX_VALUES = 2**21
MAX_NESTED = 2**18
"""So many values, and lists and objects among them, a call may have: each takes far more than it fills."""

Numbers = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MAX_POINTS)]


class _Drawn(BaseModel):
    """A shape as CVAT sends it; other fields are of no interest."""

    model_config = ConfigDict(frozen=True)

    type: Annotated[str, Field(max_length=MAX_NAME)]
    points: Numbers
    rotation: Annotated[float, Field(allow_inf_nan=False)] = 0.0


class _Payload(BaseModel):
    image: bytes
    """Base64 as it came: as text one character outside of it would make four bytes of each."""
    shapes: list[JsonValue] | None = None
    states: list[JsonValue] | None = None


_BARE: TypeAdapter[list[float]] = TypeAdapter(Numbers)


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a track with this shape; `bare` where it is to be answered as a bare list of points."""

    type: str
    points: list[float]
    rotation: float
    bare: bool


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on with the track whose newest step has this name."""

    after: str


@dataclass(frozen=True, slots=True)
class Call:
    """An encoded image, and what to do for each object on it."""

    image: bytes
    objects: list[Start | Continue]


def parse(body: bytes | bytearray) -> Call:
    """Read a call; raises `RequestRefused` with the annotator's sentence."""
    _require_few(body.count(b","), body.count(b"[") + body.count(b"{"))
    return _read(lambda: _Payload.model_validate_json(body))


def read(payload: object) -> Call:
    """Read a call whose JSON somebody parsed already; raises `RequestRefused` as `parse` does."""
    if not isinstance(payload, dict):
        raise RequestRefused("The tracking call is not understood (its JSON is not an object).")
    _require_few(*_count(payload))
    return _read(lambda: _Payload.model_validate(payload))


def _require_few(values: int, nested: int) -> None:
    if values > MAX_VALUES or nested > MAX_NESTED:
        raise RequestRefused(
            "The tracking call has more parts than the agent reads; draw the shapes more simply, "
            "or track fewer objects at once."
        )


def _count(payload: object) -> tuple[int, int]:
    """How many values there are, and how many lists and objects among them."""
    values, nested, left = 1, 0, [payload]
    while left:
        inside = left.pop()
        if isinstance(inside, dict):
            inside = inside.values()
        elif not isinstance(inside, list):
            continue
        values += len(inside)
        nested += 1
        left.extend(each for each in inside if isinstance(each, dict | list))
    return values, nested


def _read(validate: Callable[[], _Payload]) -> Call:
    try:
        payload = validate()
    except ValidationError as error:
        raise RequestRefused(f"The tracking call is not understood ({_first(error)}).") from error
    shapes, states = payload.shapes or [], payload.states or []
    count = max(len(shapes), len(states))
    if not count:
        raise RequestRefused("The tracking call names no object; draw a shape and run.")
    if count > MAX_OBJECTS:
        raise RequestRefused(
            f"{count} objects are too many for one call; track at most {MAX_OBJECTS} at once."
        )
    return Call(_image(payload.image), [_object(*pair) for pair in zip_longest(shapes, states)])


def _object(shape: JsonValue, state: JsonValue) -> Start | Continue:
    if state is not None:
        return Continue(read_state(state))
    if shape is None:
        raise RequestRefused("An object has neither a shape nor a tracking state; draw its shape and run.")
    if not isinstance(shape, dict | list):
        raise RequestRefused("A shape is not understood (it has no type and points); draw it again.")
    try:
        if isinstance(shape, list):
            return Start("rectangle", _BARE.validate_python(shape), 0.0, bare=True)
        drawn = _Drawn.model_validate(shape)
    except ValidationError as error:
        raise RequestRefused(f"A shape is not understood ({_first(error)}); draw it again.") from error
    return Start(drawn.type, drawn.points, drawn.rotation, bare=False)


def _image(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestRefused("The image of the tracking call is not base64, or cut off.") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][:2]) or "its JSON"
    return f"{where}: {first['msg']}"
