"""Records in Redis: what a step found and remembers, how it came about, an init's states, a request in hand.

    offset  bytes  content
    0       4      "s2tr"
    4       32     SHA-256 of all that follows
    36      4      length of the header, big endian
    40      ...    header, JSON: format, kind, name, fingerprint of the model where there is one; of an answer
                   the type of its shape, if the object is visible, and how many float32 follow
    ...     ...    body of an answer: score and pointer, float32, little endian; points of the shape, JSON,
                   compressed by zlib, for the outline of an object has thousands of digits
                   body of a memory: the tracker's own bytes
                   body of a link, an init or a request: JSON

A record says which step or request it belongs to, so one that stands under another's name counts as missing,
like one that is damaged, of another model or of another format.  Nothing is parsed before its checksum.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sam2_agent.core.tracking import ShapeType
from sam2_agent.errors import DamagedRecord

_MAGIC = b"s2tr"
_LENGTH = struct.Struct(">I")
_DIGEST = slice(4, 36)
_HEADER_AT = 40

MAX_POINTS_BYTES = 2**26
"""So many bytes of JSON the points of a shape may have; what unpacks to more counts as damaged."""

Kind: TypeAlias = Literal["answer", "memory", "link", "init", "request"]
Points: TypeAlias = list[Annotated[float, Field(allow_inf_nan=False)]]


_POINTS: TypeAdapter[list[float]] = TypeAdapter(Points)


class AnswerShape(BaseModel):
    """A shape as CVAT takes it in an answer."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    type: ShapeType
    points: Points


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one step found: the shape, or None where the object is not visible, and what later steps read.

    `pointer` is float32 of shape (hidden width,), `score` the object score logit.
    """

    shape: AnswerShape | None
    pointer: NDArray[np.float32]
    score: float


class _Header(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    format: Literal[2] = 2
    kind: Kind
    name: str
    fingerprint: str | None = None
    shape: ShapeType | None = None
    numbers: Annotated[int, Field(ge=2)] | None = None


def dump_answer(answer: Answer, name: str, fingerprint: str) -> bytes:
    """Write the answer of the step `name`."""
    numbers = np.concatenate(([answer.score], answer.pointer)).astype("<f4")
    header = _Header(
        kind="answer",
        name=name,
        fingerprint=fingerprint,
        shape=answer.shape.type if answer.shape else None,
        numbers=numbers.size,
    )
    points = zlib.compress(_POINTS.dump_json(answer.shape.points)) if answer.shape else b""
    return _dump(header, numbers.tobytes() + points)


def load_answer(data: bytes, name: str, fingerprint: str) -> Answer:
    """Read the answer of the step `name`; raises `DamagedRecord`."""
    header, body = _load(data, "answer", name, fingerprint)
    end = 4 * (header.numbers or 0)
    if not 8 <= end <= len(body) or (header.shape is None and end < len(body)):
        raise DamagedRecord("An answer holds no score and pointer, or more than them.")
    numbers = np.frombuffer(body[:end], "<f4").astype(np.float32)
    shape = AnswerShape(type=header.shape, points=_unpack(body[end:])) if header.shape else None
    return Answer(shape=shape, pointer=numbers[1:], score=float(numbers[0]))


def dump_memory(memory: bytes, name: str, fingerprint: str) -> bytes:
    """Write the memory of the step `name`, given as the tracker serialized it."""
    return _dump(_Header(kind="memory", name=name, fingerprint=fingerprint), memory)


def load_memory(data: bytes, name: str, fingerprint: str) -> bytes:
    """Read what the tracker serialized; raises `DamagedRecord`."""
    return _load(data, "memory", name, fingerprint)[1]


def seal(kind: Literal["link", "init", "request"], name: str, body: bytes) -> bytes:
    """Write what no model computed."""
    return _dump(_Header(kind=kind, name=name), body)


def unseal(kind: Literal["link", "init", "request"], name: str, data: bytes) -> bytes:
    """Read what `seal` was given; raises `DamagedRecord`."""
    return _load(data, kind, name, None)[1]


def _unpack(packed: bytes) -> list[float]:
    """Read the points of a shape, and never more than `MAX_POINTS_BYTES` of them."""
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(packed, MAX_POINTS_BYTES)
        if not stream.eof or stream.unused_data:
            raise DamagedRecord("The points of an answer are cut off, too many, or not all there is.")
        return _POINTS.validate_json(text, strict=True)
    except (zlib.error, ValidationError) as error:
        raise DamagedRecord("The points of an answer cannot be read.") from error


def _dump(header: _Header, body: bytes) -> bytes:
    text = header.model_dump_json().encode()
    sealed = _LENGTH.pack(len(text)) + text + body
    return _MAGIC + hashlib.sha256(sealed).digest() + sealed


def _load(data: bytes, kind: Kind, name: str, fingerprint: str | None) -> tuple[_Header, bytes]:
    sealed = data[_DIGEST.stop :]
    if data[: _DIGEST.start] != _MAGIC or len(data) < _HEADER_AT:
        raise DamagedRecord("A record does not begin like one.")
    if hashlib.sha256(sealed).digest() != data[_DIGEST]:
        raise DamagedRecord("A record does not match its checksum.")
    (length,) = _LENGTH.unpack_from(sealed)
    end = _HEADER_AT + length
    try:
        header = _Header.model_validate_json(data[_HEADER_AT:end])
    except ValidationError as error:
        raise DamagedRecord("A record has a header of another format.") from error
    if (header.kind, header.name, header.fingerprint) != (kind, name, fingerprint):
        raise DamagedRecord("A record belongs to another step, request or model.")
    return header, data[end:]
