"""Records that are damaged, foreign or of another format count as missing, are counted, and are healed.

So are the states of an init and the requests in hand.  The toy tracker's answers are digests of all that a
step reads: one wrong bit anywhere gives another answer.  `SAM2_TEST_FULL=1` tries every byte of the
records instead of one of each part.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest
import redis

from sam2_agent.core import state
from sam2_agent.core.recent import LRU, Recent
from sam2_agent.core.records import Answer, AnswerShape, dump_answer, load_answer, unseal
from sam2_agent.core.requests import Assignment, Recorded
from sam2_agent.core.state import Steps
from tests import fault_table
from tests.cvat_standin.annotator import Annotator, Shape
from tests.cvat_standin.control_models import RequestRecord
from tests.fault_table import judge
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, disk_bitmap, drawn_shapes
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.cvat_standin.caller import Agent, Caller
from tests.samples import FULL

FINGERPRINT = "toy"
COMPLETE = "POST /api/functions/queues/{id}/requests/{request_id}/complete"
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


@pytest.fixture
def session(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr("sam2_agent.loop.Recent", lambda: Recent(LRU(0), LRU(0), LRU(0)))
    agent = world.new_toy().start().wait_ready()
    with world.annotator() as annotator, world.redis.client() as store:
        session = Session(agent, annotator, world, store)
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


PLACES = {
    "the newest answer": ("answer", LAST),
    "an earlier answer": ("answer", 6),
    "the prompt's answer": ("answer", 0),
    "a memory": ("memory", 8),
    "the prompt's memory": ("memory", 0),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_record_counts_as_missing_and_is_healed(session: Session, place: str) -> None:
    kind, step = PLACES[place]
    key, rng = session.key(kind, step), random.Random(place)
    before, good = session.snapshot(), session.get(session.key(kind, step))
    for name, damage in damages(good, rng):
        bad = damage(good)
        assert bad != good
        if step != LAST:
            session.forget_newest()
        session.store.set(key, bad, keepttl=True)
        counted = session.agent.metric("records_damaged_total", kind=kind)
        verdict = fault_table.add(f"corruption: {name}", judge([session.answers[LAST]], [session.again()]))
        assert verdict.clean, name
        assert session.agent.metric("records_damaged_total", kind=kind) == counted + 1, name
        session.settle(lambda: session.snapshot() == before)


def test_records_swapped_between_tracks_and_steps_and_tasks_are_not_believed(session: Session) -> None:
    world = session.world
    other = world.cvat.add_task([np.full((90, 120, 3), 9, np.uint8)] * 2, "ann", assignees=["robot"])
    shape = Shape.mask(disk_bitmap(0)).to_json()
    begun = {"type": "init_tracking", "task": other, "frame": 0, "shapes": [shape]}
    foreign = Steps(state.parse(session.annotator.run(world.function, begun)["states"][0]), FINGERPRINT)
    before = session.snapshot()
    for kind in ("answer", "memory"):
        mine, neighbours = session.key(kind, 7), session.key(kind, 7, place=1)
        pairs = {
            "another track": (mine, neighbours),
            "another step": (mine, session.key(kind, 8)),
            "another task": (mine, f"{PREFIX}{kind}:{foreign.name(0)}"),
        }
        for name, (one, two) in pairs.items():
            session.settle(lambda two=two: bool(session.store.exists(two)))  # type: ignore[misc]
            whole = session.snapshot()
            first, second = session.get(one), session.get(two)
            session.forget_newest()
            session.store.mset({one: second, two: first})
            got = session.again()
            verdict = fault_table.add(f"corruption: record of {name}", judge([session.answers[LAST]], [got]))
            assert verdict.clean, (kind, name)
            if name == "another task":
                session.store.set(two, second)
            session.settle(lambda whole=whole: session.snapshot() == whole)  # type: ignore[misc]
    assert before.items() <= session.snapshot().items()


def test_a_memory_under_an_answers_key_is_not_believed(session: Session) -> None:
    answer, memory = session.get(session.key("answer", 7)), session.get(session.key("memory", 7))
    before = session.snapshot()
    session.forget_newest()
    session.store.mset({session.key("answer", 7): memory, session.key("memory", 7): answer})
    verdict = judge([session.answers[LAST]], [session.again()])
    assert fault_table.add("corruption: record of another kind", verdict).clean
    session.settle(lambda: session.snapshot() == before)


def test_a_valid_answer_is_never_overwritten(session: Session) -> None:
    """Not even by a computation that gives something else: what was answered once stands."""
    told = Answer(
        AnswerShape(type="mask", points=[0.0, 4.0, 3.0, 3.0, 4.0, 4.0]), np.ones(8, np.float32), 1.0
    )
    for step in (LAST, 8):
        session.store.set(session.key("answer", step), dump_answer(told, session.name(step), FINGERPRINT))
        session.store.delete(session.key("memory", step))
    before = session.snapshot()
    assert session.again()[0] == Shape("mask", (0.0, 4.0, 3.0, 3.0, 4.0, 4.0))
    session.run(type="track", frame=LAST + 1, states=session.states[LAST])
    session.settle(lambda: bool(session.store.exists(session.key("memory", 8))))
    answers = {key: data for key, data in before.items() if b"answer:" in key}
    assert answers.items() <= session.snapshot().items()


def test_a_valid_answer_written_meanwhile_is_not_taken_for_the_damaged_one(session: Session) -> None:
    """Ann's call and a damaged record; before the agent heals it, another agent does, with its own answer."""
    key, name = session.key("answer", LAST), session.name(LAST)
    mine = load_answer(session.get(key), name, FINGERPRINT)
    healed = dump_answer(Answer(mine.shape, mine.pointer, 123.0), name, FINGERPRINT)
    session.store.set(key, b"damaged")
    session.store.delete(session.key("memory", LAST))
    stall = session.world.cvat.faults.stall("GET /api/tasks/{id}/data/")

    def heal() -> None:
        session.agent.wait_for(lambda: stall.taken() == 1)
        session.store.set(key, healed)
        session.world.cvat.faults.release()

    session.world.meanwhile(heal)
    assert session.again() == session.answers[LAST]
    assert session.get(key) == healed


def test_damaged_states_of_an_init_are_made_anew(session: Session) -> None:
    """CVAT hands an init out again, having taken no answer to it, and meanwhile its record is damaged."""
    world, rng = session.world, random.Random("init")
    shapes = [shape.to_json() for shape in drawn_shapes()[:1]]
    begun = {"type": "init_tracking", "task": world.task, "frame": 0, "shapes": shapes}

    def handed_out_twice(damage: Callable[[bytes], bytes]) -> tuple[str, bytes, dict[str, Any]]:
        refused = world.cvat.faults.status(COMPLETE, 404)
        request = world.cvat.submit(world.function, begun, "ann")
        session.agent.wait_for(lambda: refused.taken() == 1)
        [found] = session.store.scan_iter(f"{PREFIX}init:{request.id}:*")
        key = found.decode()
        good = session.get(key)
        session.store.set(key, damage(good), keepttl=True)
        world.cvat.put_back(request.id)
        session.settle(lambda: world.cvat.request(request.key).status == "finished")
        return key, good, world.cvat.request(request.key).result

    key, whole, answer = handed_out_twice(lambda good: good)
    assert session.get(key) == whole
    assert init_states(key, whole) == answer["states"]
    for name, damage in json_damages(whole, rng):
        counted = session.agent.metric("records_damaged_total", kind="init")
        key, good, answer = handed_out_twice(damage)
        assert session.agent.metric("records_damaged_total", kind="init") == counted + 1, name
        assert init_states(key, session.get(key)) == answer["states"] != init_states(key, good), name
        got = session.run(type="track", frame=1, states=answer["states"])
        verdict = judge([session.answers[1][:1]], [shapes_of(got)])
        assert fault_table.add(f"corruption of an init: {name}", verdict).clean


def init_states(key: str, data: bytes) -> list[str]:
    states: list[str] = json.loads(unseal("init", key.removeprefix(f"{PREFIX}init:"), data))
    return states


def test_damaged_requests_in_hand_count_as_missing_until_they_are_handed_out_again(session: Session) -> None:
    world, rng, inbox = session.world, random.Random("request"), f"{PREFIX}requests"
    session.agent.stop()
    asked = {"type": "track", "task": world.task, "frame": LAST, "states": session.states[LAST - 1]}
    robot = Agent(Caller(world.cvat.url, world.robot.token), world.function, "s2t_test")

    def in_hand(frame: int) -> tuple[RequestRecord, bytes]:
        states = session.states[frame - 1]
        request = world.cvat.submit(world.function, {**asked, "frame": frame, "states": states}, "ann")
        robot.acquire()
        assignment = Assignment(ar_id=request.id, ar_params=request.params)
        return request, Recorded(assignment=assignment, attempts=1).dump()

    one, first = in_hand(3)
    other, second = in_hand(5)
    session.store.hset(inbox, mapping={one.id: second, other.id: first})
    requests = {one.key: ("record of another request", 3), other.key: ("record of another request", 5)}
    kinds = list(json_damages(first, rng))
    for name, damage in kinds if len(kinds) < 100 else rng.sample(kinds, 100):
        request, good = in_hand(LAST)
        session.store.hset(inbox, request.id, damage(good))
        requests[request.key] = (name, LAST)

    agent = world.new_toy().start()
    agent.wait_for(lambda: agent.metric("records_damaged_total", kind="request") == len(requests))
    agent.wait_for(lambda: not session.store.exists(inbox))
    for key in requests:
        world.cvat.put_back(world.cvat.request(key).id)
    for key, (name, frame) in requests.items():
        agent.wait_for(lambda key=key: world.cvat.request(key).status == "finished")  # type: ignore[misc]
        verdict = judge([session.answers[frame]], [shapes_of(world.cvat.request(key).result)])
        assert fault_table.add(f"corruption of a request: {name}", verdict).clean
    agent.wait_for(lambda: not session.store.exists(inbox))


def test_damaged_ids_of_requests_in_hand_are_dropped(session: Session) -> None:
    """Bytes that are no text would end an agent, and then the next one."""
    inbox = f"{PREFIX}requests"
    for place, ar_id in enumerate([b"\xff\xfe", b"", b"\x00", "\u0661".encode(), b"x" * 100_000], start=1):
        session.store.hset(inbox, ar_id, b"damaged")
        session.agent.wait_for(
            lambda place=place: session.agent.metric("records_damaged_total", kind="request") == place  # type: ignore[misc]
        )
        session.agent.wait_for(lambda: not session.store.exists(inbox))
    assert session.again() == session.answers[LAST]


def json_damages(data: bytes, rng: random.Random) -> Iterator[tuple[str, Damage]]:
    """As `damages`; and changed digits, which leave other valid JSON: another frame, another mask."""
    for name, damage in damages(data, rng):
        if name != "another model" and (FULL or not name.startswith("truncation")):
            yield name, damage
    digits = [i for i in range(len(data) // 2, len(data)) if data[i : i + 1].isdigit()]
    for position in digits if FULL else rng.sample(digits, 4):
        yield "a digit changed", partial(flipped, position=position, bit=0)
