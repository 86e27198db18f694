"""Damaged states of an init and damaged requests in hand count as missing, are counted, and are healed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sam2_agent.core.records import unseal
from sam2_agent.core.requests import Assignment, Recorded
from tests import fault_table
from tests.cvat_standin.control_models import RequestRecord
from tests.fault_table import judge
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, drawn_shapes
from tests.integration.agent.corruption import LAST, Session, json_damages, shapes_of, tracked
from tests.integration.cvat_standin.caller import Agent, Caller

COMPLETE = "POST /api/functions/queues/{id}/requests/{request_id}/complete"


@pytest.fixture
def session(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    with tracked(world, monkeypatch) as session:
        yield session


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
