"""Records that are damaged, foreign or of another format count as missing, are counted, and are healed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from sam2_agent.core import state
from sam2_agent.core.records import Answer, AnswerShape, dump_answer, load_answer
from sam2_agent.core.state import Steps
from tests import fault_table
from tests.cvat_standin.annotator import Shape
from tests.fault_table import judge
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, disk_bitmap
from tests.integration.agent.corruption import FINGERPRINT, LAST, Session, damages, tracked

PLACES = {
    "the newest answer": ("answer", LAST),
    "an earlier answer": ("answer", 6),
    "the prompt's answer": ("answer", 0),
    "a memory": ("memory", 8),
    "the prompt's memory": ("memory", 0),
}


@pytest.fixture
def session(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    with tracked(world, monkeypatch) as session:
        yield session


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
