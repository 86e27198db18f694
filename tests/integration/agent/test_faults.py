"""Whatever fails around the agent, the annotator gets the answers of an undisturbed run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from sam2_agent.core.patience import Patience
from sam2_agent.core.requests import Assignment, Recorded
from tests.cvat_standin.annotator import RunError, TrackedFrame
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.control_models import RequestRecord
from tests.cvat_standin.fault_control import ArmedFault
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import World, drawn_shapes
from tests.integration.cvat_standin.caller import Agent, Caller

QUEUE = "POST /api/functions/queues/{id}/requests"
ACQUIRE, COMPLETE, FAIL = (
    f"{QUEUE}/acquire",
    f"{QUEUE}/{{request_id}}/complete",
    f"{QUEUE}/{{request_id}}/fail",
)
FRAME = "GET /api/tasks/{id}/data/"


PATIENT = Patience(lease=3.0, poll=0.5, request=60.0)


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something in another thread while the block runs; what fails there fails the test."""
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        yield
        acting.result(30)


def at(frame: int, act: Callable[[], object]) -> Callable[[TrackedFrame], None]:
    """Do something when this frame was answered."""

    def on_frame(tracked: TrackedFrame) -> None:
        if tracked.frame == frame:
            act()

    return on_frame


def keys(world: World, pattern: str) -> list[bytes]:
    with world.redis.client() as client:
        return list(client.scan_iter(f"{PREFIX}{pattern}"))


def delete(world: World, pattern: str) -> None:
    with world.redis.client() as client:
        for key in client.scan_iter(f"{PREFIX}{pattern}"):
            client.delete(key)


def overwrite(world: World, pattern: str) -> None:
    with world.redis.client() as client:
        for key in client.scan_iter(f"{PREFIX}{pattern}"):
            value = bytearray(client.get(key) or b"")
            value[len(value) // 2] ^= 4
            client.set(key, bytes(value))


@pytest.mark.parametrize("lost", ["memory:*", "answer:*", "*"])
def test_a_successor_computes_again_what_redis_lost(world: World, lost: str) -> None:
    first = world.new_toy().start().wait_ready()
    expected = world.track()

    def replace() -> None:
        first.stop()
        delete(world, lost)
        world.new_toy().start()

    assert world.track(at(14, replace)) == expected


def test_redis_flushed_under_a_running_agent(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    expected = world.track()
    with world.redis.client() as client:
        assert world.track(at(14, client.flushall)) == expected
    agent.wait_for(lambda: agent.status.report().ready)


@pytest.mark.parametrize("pattern", ["memory:*", "answer:*"])
def test_damaged_records_are_counted_and_healed(world: World, pattern: str) -> None:
    first = world.new_toy().start().wait_ready()
    expected = world.track()
    agents = [first]

    def replace() -> None:
        first.stop()
        overwrite(world, pattern)
        agents.append(world.new_toy().start())

    assert world.track(at(14, replace)) == expected
    assert agents[1].metric("records_damaged_total", kind=pattern.removesuffix(":*")) > 0


def test_a_request_repeated_by_the_annotator_moves_nothing(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    states = world.begin()
    once = world.run(type="track", frame=1, states=states)
    steps = agent.tracker.steps
    assert world.run(type="track", frame=1, states=states) == once
    assert agent.tracker.steps == steps
    further = world.run(type="track", frame=2, states=once["states"])
    assert world.run(type="track", frame=1, states=states) == once
    assert world.run(type="track", frame=2, states=once["states"]) == further


@pytest.mark.parametrize("new_id", [False, True])
@pytest.mark.parametrize("frame", [0, 3])
def test_a_request_that_is_handed_out_twice(world: World, new_id: bool, frame: int) -> None:
    agent = world.new_toy().start().wait_ready()
    expected = world.track(stop=6)

    def hand_out_again() -> None:
        world.cvat.wait_for_calls(COMPLETE, 7 + frame + 1)
        held = world.cvat.wait_for_request(world.function, "started")
        world.cvat.put_back(held.id, new_id=new_id)
        world.cvat.faults.release()

    world.cvat.faults.stall(COMPLETE, skip=frame)
    with meanwhile(hand_out_again):
        assert world.track(stop=6) == expected
    assert agent.metric("answers_reused_total") >= (3 if frame or not new_id else 0)
    assert {record.handed_out for record in world.cvat.requests()} == {1, 2}


def test_an_init_that_is_handed_out_twice_has_the_same_states(world: World) -> None:
    world.cvat.set_redelivery(to_same_agent=True)
    world.new_toy().start().wait_ready()
    world.cvat.faults.drop_request(COMPLETE, times=2)
    states = world.begin()
    assert len(keys(world, "init:*")) == 1
    assert len(keys(world, "answer:*")) == len(states) == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cvat: cvat.faults.drop_reply(COMPLETE, skip=2, times=3),
        lambda cvat: cvat.faults.drop_request(COMPLETE, skip=2, times=3),
        lambda cvat: cvat.faults.truncate_reply(FRAME, skip=2, times=2),
        lambda cvat: cvat.faults.drop_reply(FRAME, skip=2, times=2),
        lambda cvat: cvat.faults.status(COMPLETE, 503, skip=2, times=3),
        lambda cvat: cvat.faults.status(FRAME, 500, skip=2, times=2),
        lambda cvat: cvat.faults.status(ACQUIRE, 502, skip=4, times=3),
        lambda cvat: cvat.faults.ingress(COMPLETE, skip=2, times=2),
        lambda cvat: cvat.faults.ingress(FRAME, skip=2, times=2),
        lambda cvat: cvat.faults.status(COMPLETE, 429, retry_after="1", skip=2, times=1),
    ],
    ids=[
        "complete replies lost",
        "complete requests lost",
        "frames truncated",
        "frame replies lost",
        "complete 503",
        "frame 500",
        "acquire 502",
        "ingress on complete",
        "ingress on frames",
        "complete 429",
    ],
)
def test_what_is_transient_only_costs_time(world: World, spoil: Callable[[CVAT], object]) -> None:
    agent = world.new_toy().start().wait_ready()
    expected = world.track(stop=6)
    spoil(world.cvat)
    assert world.track(stop=6) == expected
    assert agent.metric("steps_computed_total") == 2 * 3 * 7


def test_an_acquired_request_whose_reply_was_lost_is_handed_out_again(world: World) -> None:
    world.cvat.set_redelivery(to_same_agent=True)
    world.new_toy().start().wait_ready()
    expected = world.track(stop=4)
    world.cvat.faults.drop_reply(ACQUIRE, skip=1, times=2)
    assert world.track(stop=4) == expected


def test_event_streams_only_save_time(world: World) -> None:
    world.new_toy().start().wait_ready()
    world.cvat.wait_for_watchers(world.function)
    expected = world.track(stop=4)
    cut = at(1, lambda: world.cvat.cut_streams(world.function, abrupt=True))
    assert world.track(cut, stop=4) == expected


def test_credentials_revoked_and_restored(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=5)

    def renew() -> None:
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="CredentialsRefused") > 1)
        (world.credentials / "token").write_text(world.cvat.add_token("robot"))

    with meanwhile(renew):
        revoke = at(2, lambda: world.cvat.revoke_tokens("robot"))
        assert world.track(revoke, stop=5) == expected


def test_a_password_session_that_ended_is_begun_again(world: World) -> None:
    (world.credentials / "token").unlink()
    (world.credentials / "username").write_text("robot")
    (world.credentials / "password").write_text(world.robot.password)
    world.new_toy().start().wait_ready()
    expected = world.track(stop=4)
    assert world.track(at(2, lambda: world.cvat.end_sessions("robot")), stop=4) == expected


def test_refused_credentials_are_a_reason_not_a_crash(world: World) -> None:
    world.cvat.revoke_tokens("robot")
    agent = world.new_toy().start()
    agent.wait_for(lambda: agent.status.report().reason == "CredentialsRefused")
    assert "Secret" in agent.status.report().message


def test_a_function_that_is_gone_is_a_reason_not_a_crash(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    world.cvat.forget_function(world.function)
    agent.wait_for(lambda: agent.status.report().reason == "FunctionNotFound", 60)


def was_taken(fault: ArmedFault) -> Callable[[], bool]:
    return lambda: fault.taken() == 1


def test_a_request_that_reaches_an_agent_without_the_lease_is_finished_by_the_holder(world: World) -> None:
    late = world.new_toy(holder="pod-a").start().wait_ready()
    states = world.begin()
    computed = late.tracker.steps
    nothing_yet = world.cvat.faults.stall(ACQUIRE, when="after")
    late.wait_for(was_taken(nothing_yet))
    request = world.cvat.submit(
        world.function, {"type": "track", "task": world.task, "frame": 1, "states": states}, "ann"
    )
    while world.cvat.request(request.key).status != "started":  # the calls for the other category go by
        handed_out = world.cvat.faults.stall(ACQUIRE, when="after")
        world.cvat.faults.release()
        late.wait_for(was_taken(handed_out))
    with world.redis.client() as client:
        client.set(f"{PREFIX}lease", "f" * 32 + "pod-b", px=60_000)
    holder = world.new_toy(holder="pod-b").start().wait_ready()
    late.wait_for(lambda: not late.status.lease_held())
    world.cvat.faults.release()

    assert world.cvat.wait_for_request(world.function, "finished").key == request.key
    assert late.tracker.steps == computed
    assert holder.tracker.steps == 3
    holder.wait_for(lambda: not keys(world, "requests"))


def test_a_successor_finishes_what_its_predecessor_had_in_hand(world: World) -> None:
    request = in_the_hands_of_an_agent_that_died(world, attempts=4)
    agent = world.new_toy().start()
    assert world.cvat.wait_for_request(world.function, "finished").key == request.key
    agent.wait_for(lambda: not keys(world, "requests"))


def test_a_request_that_kills_agents_is_given_up(world: World) -> None:
    request = in_the_hands_of_an_agent_that_died(world, attempts=5)
    agent = world.new_toy().start()
    failed = world.cvat.wait_for_request(world.function, "failed")
    assert failed.key == request.key
    assert failed.exc_info == "The tracking agent stopped 5 times during this request; it gave up."
    agent.wait_for(lambda: not keys(world, "requests"))


def in_the_hands_of_an_agent_that_died(world: World, attempts: int) -> RequestRecord:
    """A request that CVAT handed out and that is recorded in Redis, but whose agent is gone."""
    shapes = [shape.to_json() for shape in drawn_shapes()]
    parameters = {"type": "init_tracking", "task": world.task, "frame": 0, "shapes": shapes}
    request = world.cvat.submit(world.function, parameters, "ann")
    Agent(Caller(world.cvat.url, world.robot.token), world.function, "s2t_test").acquire()
    assignment = Assignment(ar_id=request.id, ar_params=request.params)
    with world.redis.client() as client:
        client.hset(
            f"{PREFIX}requests", request.id, Recorded(assignment=assignment, attempts=attempts).dump()
        )
    return request


def test_what_cannot_be_read_in_the_inbox_is_dropped_and_counted(world: World) -> None:
    with world.redis.client() as client:
        client.hset(f"{PREFIX}requests", "request", b"nonsense")
    agent = world.new_toy().start().wait_ready()
    agent.wait_for(lambda: agent.metric("records_damaged_total", kind="request") == 1)
    assert world.begin()
    agent.wait_for(lambda: not keys(world, "requests"))  # forgotten after the answer


def test_redis_away_and_back(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    expected = world.track(stop=5)

    def restart() -> None:
        agent.wait_for(lambda: agent.metric("unavailable_total", reason="RedisUnreachable") > 2)
        world.redis.start()

    with meanwhile(restart):
        assert world.track(at(2, world.redis.kill), stop=5) == expected


@pytest.mark.parametrize("seconds", [0.5, 3.0], ids=["lease still held", "lease expired"])
def test_redis_away_too_long_is_told_to_the_annotator(world: World, seconds: float) -> None:
    agent = world.new_toy(patience=Patience(lease=1.0, poll=0.5, request=seconds)).start().wait_ready()
    states = world.begin()
    again: dict[str, Any] = {"type": "track", "frame": 1, "states": states}
    stall = world.cvat.faults.stall(FRAME)

    def go_away() -> None:
        agent.wait_for(lambda: stall.taken() == 1)
        world.redis.kill()
        world.cvat.faults.release()

    with (
        meanwhile(go_away),
        pytest.raises(RunError, match="cannot reach its store now; run the action again"),
    ):
        world.run(**again)
    world.redis.start()
    assert world.run(**again)["shapes"]


def test_a_long_restoration_is_told_to_the_annotator_and_goes_on_next_time(world: World) -> None:
    first = world.new_toy().start().wait_ready()
    answer: dict[str, Any] = {"states": world.begin()}
    for frame in range(1, 15):
        answer = world.run(type="track", frame=frame, states=answer["states"])
    first.stop()
    delete(world, "memory:*")
    hurried = world.new_toy(patience=Patience(lease=3.0, poll=1.0, restore=0.05)).start().wait_ready()
    refused: list[str] = []
    while (sentence := sentence_of(world, type="track", frame=15, states=answer["states"])) and len(
        refused
    ) < 40:
        refused.append(sentence)
    assert set(refused) == {"The agent is restoring this track, which takes a while; run the action again."}
    assert hurried.tracker.steps == 3 * 16


def sentence_of(world: World, **parameters: object) -> str | None:
    """What the annotator reads where the action fails."""
    try:
        world.run(**parameters)
    except RunError as error:
        return str(error)
    return None


def test_a_stopped_agent_leaves_nothing_behind(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    world.track(stop=3)
    agent.stop()
    assert not keys(world, "lease")
    assert not keys(world, "requests")
    assert len(keys(world, "memory:*")) == 3 * 4


def test_memory_in_redis_does_not_grow_with_the_track(world: World) -> None:
    agent = world.new_toy().start().wait_ready()
    world.track(stop=23)
    agent.stop()
    assert len(keys(world, "memory:*")) <= 3 * 9
