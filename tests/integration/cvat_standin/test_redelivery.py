"""What becomes of a request whose agent died: every policy that the closed server might have."""

from __future__ import annotations

import pytest

from tests.integration.cvat_standin.conftest import World


def test_never_is_the_default(world: World) -> None:
    world.begin()
    assert world.agent("agent_1").acquire() is not None
    world.cvat.advance(1_000_000)
    assert world.agent("agent_1").acquire() is None
    assert world.agent("agent_2").acquire() is None


@pytest.mark.parametrize("new_id", [False, True], ids=["same id", "new id"])
def test_after_a_time_another_agent_gets_it(world: World, new_id: bool) -> None:
    world.cvat.set_redelivery(after_seconds=30, new_id=new_id)
    asking = world.begin()
    dead, successor = world.agent("agent_1"), world.agent("agent_2")
    first = dead.acquire()
    assert first is not None
    assert successor.acquire() is None
    world.cvat.advance(20)
    assert dead.report(first["ar_id"], "update", progress=0.5).status == 204
    world.cvat.advance(20)
    assert successor.acquire() is None
    world.cvat.advance(11)
    second = successor.acquire()
    assert second is not None
    assert (second["ar_id"] != first["ar_id"]) == new_id
    assert second["ar_params"] == first["ar_params"]
    assert dead.report(first["ar_id"], "complete", states=["late"]).status == 404
    assert successor.report(second["ar_id"], "complete", states=["s"]).status == 204
    assert asking.answer().json() == {"states": ["s"]}
    assert world.cvat.requests()[0].handed_out == 2


def test_the_wait_for_a_new_agent_is_announced(world: World) -> None:
    world.cvat.set_redelivery(after_seconds=30)
    world.cvat.set_streams(keep_alive_seconds=3600)
    announcement = ["event: newrequest", 'data: {"request_category": "interactive"}', ""]
    with world.call.stream(f"/api/functions/queues/function:{world.function}/watch") as stream:
        assert stream.line() == "retry: 5000"
        world.cvat.wait_for_watchers(world.function)
        world.begin()
        assert [stream.line() for _ in range(3)] == announcement
        assert world.agent("agent_1").acquire() is not None
        world.cvat.advance(31)
        assert [stream.line() for _ in range(3)] == announcement
        assert world.agent("agent_2").acquire() is not None


@pytest.mark.parametrize("new_id", [False, True], ids=["same id", "new id"])
def test_the_same_agent_may_get_it_again_at_once(world: World, new_id: bool) -> None:
    world.cvat.set_redelivery(to_same_agent=True, new_id=new_id)
    asking = world.begin()
    agent = world.agent("agent_1")
    first = agent.acquire()
    assert first is not None
    assert world.agent("agent_2").acquire() is None
    second = agent.acquire()
    assert second is not None
    assert (second["ar_id"] != first["ar_id"]) == new_id
    assert agent.report(second["ar_id"], "complete", states=["s"]).status == 204
    assert agent.report(first["ar_id"], "complete", states=["s"]).status == 404
    assert asking.answer().status == 200
    assert agent.acquire() is None


@pytest.mark.parametrize("new_id", [False, True], ids=["same id", "new id"])
def test_a_test_may_put_a_request_back_at_any_moment(world: World, new_id: bool) -> None:
    asking = world.begin()
    first = world.agent("agent_1").acquire()
    assert first is not None
    record = world.cvat.put_back(first["ar_id"], new_id=new_id)
    assert (record.id != first["ar_id"]) == new_id
    second = world.agent("agent_2").acquire()
    assert second is not None
    assert second["ar_id"] == record.id
    assert world.agent("agent_2").report(second["ar_id"], "complete", states=["s"]).status == 204
    assert asking.answer().status == 200
    assert world.cvat.request(record.key).status == "finished"
