"""Ways to damage what is recorded, and a session whose agent reads it.

The toy tracker's answers are digests of all that a step reads: one wrong bit anywhere gives another answer.
`SAM2_TEST_FULL=1` tries every byte of the records instead of one of each part.
"""

from __future__ import annotations

import hashlib
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import pytest
import redis

from sam2_agent.core import state
from sam2_agent.core.recent import LRU, Recent
from sam2_agent.core.state import Steps
from tests.cvat_standin.annotator import Annotator, Shape
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, drawn_shapes
from tests.integration.agent.in_process import InProcessAgent
from tests.samples import FULL

FINGERPRINT = "toy"
LAST = 11
"""The step that is answered again; what it reads begins at step 5, and memories go back to step 3."""

Snapshot: TypeAlias = dict[bytes, bytes]
Answers: TypeAlias = list[tuple[object, ...]]


@dataclass
class Session:
    """Two objects tracked to frame `LAST` by an agent that forgets what it does not write down."""

    agent: InProcessAgent
    annotator: Annotator
    world: World
    store: redis.Redis
    states: list[list[str]] = field(default_factory=list)
    answers: Answers = field(default_factory=list)

    def run(self, **parameters: object) -> dict[str, Any]:
        return self.annotator.run(self.world.function, {"task": self.world.task, **parameters})

    def begin(self) -> None:
        shapes = [shape.to_json() for shape in drawn_shapes()[:2]]
        self.states = [self.run(type="init_tracking", frame=0, shapes=shapes)["states"]]
        self.answers = [()]
        for frame in range(1, LAST + 1):
            answer = self.run(type="track", frame=frame, states=self.states[-1])
            self.states.append(answer["states"])
            self.answers.append(shapes_of(answer))
        self.settle(lambda: all(self.store.exists(self.key("memory", LAST, place)) for place in (0, 1)))

    def again(self, frame: int = LAST) -> tuple[object, ...]:
        """The answer to the request for a frame, once more."""
        answer = self.run(type="track", frame=frame, states=self.states[frame - 1])
        assert answer["states"] == self.states[frame]
        return shapes_of(answer)

    def key(self, kind: str, step: int, place: int = 0) -> str:
        """Where the record of one object's step lies."""
        return f"{PREFIX}{kind}:{self.name(step, place)}"

    def name(self, step: int, place: int = 0) -> str:
        return Steps(state.parse(self.states[LAST][place]), FINGERPRINT).name(step)

    def get(self, key: str) -> bytes:
        data = self.store.get(key)
        assert isinstance(data, bytes)
        return data

    def snapshot(self) -> Snapshot:
        """All records of steps."""
        keys = [
            key for pattern in ("answer:*", "memory:*") for key in self.store.scan_iter(f"{PREFIX}{pattern}")
        ]
        return {key: data for key in keys if isinstance(data := self.store.get(key), bytes)}

    def settle(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def forget_newest(self) -> None:
        """Let the newest step be computed again, from the records of the steps before it."""
        self.store.delete(*(self.key(kind, LAST, place) for kind in ("answer", "memory") for place in (0, 1)))


@contextmanager
def tracked(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session at its end, with an agent that reads again whatever it needs."""
    monkeypatch.setattr("sam2_agent.loop.Recent", lambda: Recent(LRU(0), LRU(0), LRU(0)))
    with world.annotator() as annotator, world.redis.client() as store:
        session = Session(world.new_toy().start().wait_ready(), annotator, world, store)
        session.begin()
        yield session


def shapes_of(answer: dict[str, Any]) -> tuple[object, ...]:
    return tuple(shape and Shape.from_json(shape) for shape in answer["shapes"])


def resealed(data: bytes, old: bytes, new: bytes) -> bytes:
    """The record with another header, and a checksum that is right for it."""
    (length,) = struct.unpack(">I", data[36:40])
    header = data[40 : 40 + length].replace(old, new)
    assert header != data[40 : 40 + length]
    sealed = struct.pack(">I", len(header)) + header + data[40 + length :]
    return data[:4] + hashlib.sha256(sealed).digest() + sealed


def flipped(data: bytes, position: int, bit: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << bit]) + data[position + 1 :]


def truncated(data: bytes, end: int) -> bytes:
    return data[:end]


Damage: TypeAlias = Callable[[bytes], bytes]


def damages(data: bytes, rng: random.Random) -> Iterator[tuple[str, Damage]]:
    """What may happen to a record, as names and functions of its bytes."""
    (length,) = struct.unpack(">I", data[36:40])
    body = 40 + length
    parts = {
        "magic": range(4),
        "checksum": range(4, 36),
        "header's length": range(36, 40),
        "header": range(40, body),
        "body": range(body, len(data)),
    }
    for part, positions in parts.items():
        for position in positions if FULL else [rng.choice(positions)]:
            yield f"bit flips: {part}", partial(flipped, position=position, bit=rng.randrange(8))
    ends = [0, 1, 4, 20, 36, 38, 40, rng.randrange(41, body), body, rng.randrange(body, len(data))]
    for end in [*ends, len(data) - 1]:
        yield "truncation", partial(truncated, end=end)
    yield "bytes appended", lambda d: d + b"\0"
    yield "noise", lambda d: rng.randbytes(len(d))
    yield "a large value", lambda _: rng.randbytes(3_000_000)
    yield "another's value", lambda _: b'{"states": []}'
    yield "newer format", lambda d: resealed(d, b'"format":2', b'"format":3')
    yield "older format", lambda d: resealed(d, b'"format":2', b'"format":1')
    yield "unknown field", lambda d: resealed(d, b'{"format"', b'{"more":1,"format"')
    yield "another model", lambda d: resealed(d, b'"fingerprint":"toy"', b'"fingerprint":"boy"')
    yield "another kind", lambda d: resealed(d, b'"kind":"', b'"kind":"x')
    yield "deep header", lambda d: resealed(d, b'"format":2', b'"format":' + b"[" * 5000)


def json_damages(data: bytes, rng: random.Random) -> Iterator[tuple[str, Damage]]:
    """As `damages`; and changed digits, which leave other valid JSON: another frame, another mask."""
    for name, damage in damages(data, rng):
        if name != "another model" and (FULL or not name.startswith("truncation")):
            yield name, damage
    digits = [i for i in range(len(data) // 2, len(data)) if data[i : i + 1].isdigit()]
    for position in digits if FULL else rng.sample(digits, 4):
        yield "a digit changed", partial(flipped, position=position, bit=0)
