"""Several annotators use one function at once, and what each of them waits for."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from sam2_agent.adapters.clock import BootClock
from sam2_agent.core.intake import ASK_AGAIN_SECONDS, AT_ONCE
from sam2_agent.core.requests import Assignment, Recorded
from sam2_agent.core.tracking import Context, Features
from tests.cvat_standin.annotator import Shape
from tests.cvat_standin.control_models import RequestRecord
from tests.integration.agent.agent_process import PREFIX
from tests.integration.agent.conftest import (
    LENGTH,
    Shapes,
    World,
    disk_bitmap,
    drawn_shapes,
    square_bitmap,
)
from tests.integration.agent.faults import (
    ACQUIRE,
    COMPLETE,
    FRAME,
    META,
    PATIENT,
    ask_to_begin,
    keys,
    status_of,
)
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.agent.sticky_tracker import StickyTracker
from tests.integration.cvat_standin.caller import Agent, Caller
from tests.toy_tracker import ToyOutput, ToyTracker

ANNOTATORS = 8
MANY = 32


POLL_SECONDS = 3600.0
"""Within a test it asks only where an event, or the end of a request, lets it."""


class RestWatch(BootClock):
    """Knows whether somebody sleeps for as long as an agent does that has no reason to ask CVAT."""

    def __init__(self) -> None:
        self._resting = 0

    def rests(self) -> bool:
        return self._resting > 0

    async def sleep(self, seconds: float) -> None:
        long = seconds > POLL_SECONDS / 2
        self._resting += long
        try:
            await super().sleep(seconds)
        finally:
            self._resting -= long


class Counted(ToyTracker):
    """Takes one object at a time, as a CPU does, and only so many of them as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_size = 1
        self.let = threading.Semaphore(1000)

    def step(self, features: Features, contexts: Sequence[Context]) -> list[ToyOutput]:
        for _ in contexts:
            assert self.let.acquire(timeout=60)
        return super().step(features, contexts)


def test_each_of_many_annotators_gets_what_one_alone_gets(world: World) -> None:
    alone = world.new_toy().start().wait_ready()
    expected = [track_own(world, number) for number in range(ANNOTATORS)]
    assert len({repr(track[-1]) for track in expected}) == ANNOTATORS, "mixed up, they would not be noticed"
    alone.stop()
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    with ThreadPoolExecutor(ANNOTATORS) as pool:
        tracks = list(pool.map(lambda number: track_own(world, number), range(ANNOTATORS)))
    assert tracks == expected
    assert {record.status for record in world.cvat.requests()} == {"finished"}
    answered = agent.metric("request_seconds_count", type="track", outcome="completed")
    assert answered == sum(map(len, tracks))


def test_who_tracks_one_object_does_not_wait_for_all_of_somebody_else(world: World) -> None:
    tracker = Counted()
    agent = world.new_toy(tracker=tracker, patience=PATIENT).start().wait_ready()
    crowd = begin(world, MANY)
    alone = begin(world, 1)
    agent.wait_for(lambda: tracker.steps == 2 * (MANY + 1))  # and what is foreseen
    tracker.let = threading.Semaphore(0)
    slow = track(world, crowd, 5)
    agent.wait_for(lambda: status_of(world, slow) == "started")
    quick = track(world, alone, 5)
    agent.wait_for(lambda: status_of(world, quick) == "started")
    given = 0
    while status_of(world, quick) != "finished":
        assert (given := given + 1) < MANY, "it waited for all of them"
        before = tracker.steps
        tracker.let.release()
        agent.wait_for(lambda before=before: tracker.steps > before)  # type: ignore[misc]
    assert status_of(world, slow) == "started"
    tracker.let.release(10 * MANY)
    agent.wait_for(lambda: status_of(world, slow) == "finished")


def test_what_was_foreseen_is_answered_though_cvat_serves_no_frame_now(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    states = world.begin()
    agent.wait_for(lambda: agent.metric("steps_computed_total") == 2 * len(states))
    frames = world.cvat.faults.stall(FRAME, times=None)
    metas = world.cvat.faults.stall(META, times=None)
    answer = world.run(type="track", frame=1, states=states)
    assert len(answer["shapes"]) == len(states)
    assert metas.taken() == 0
    assert frames.taken() <= 1, "the one after the next"


def test_it_works_ahead_though_an_answer_takes_long_to_arrive(world: World) -> None:
    agent = world.new_toy(patience=PATIENT).start().wait_ready()
    states = world.begin()
    agent.wait_for(lambda: agent.metric("steps_computed_total") == 2 * len(states))
    slow = world.cvat.faults.stall(COMPLETE)
    asked = track(world, states, 1)
    agent.wait_for(lambda: slow.taken() == 1)
    agent.wait_for(lambda: agent.metric("steps_computed_total") == 3 * len(states))
    assert status_of(world, asked) == "started"
    world.cvat.faults.release()
    agent.wait_for(lambda: status_of(world, asked) == "finished")


def test_cvat_is_asked_once_for_each_request(world: World) -> None:
    agent = world.new_toy(patience=replace(PATIENT, poll=POLL_SECONDS)).start().wait_ready()
    asked, began = world.cvat.count(ACQUIRE), agent.clock.now()
    requests = len(world.track())
    again = 2 * (2 + (agent.clock.now() - began) / ASK_AGAIN_SECONDS)  # of both categories
    assert world.cvat.count(ACQUIRE) - asked <= requests + again


def test_a_request_whose_event_was_lost_is_found_after_the_one_before(world: World) -> None:
    tracker = StickyTracker()
    agent, first = with_one_in_hand(world, tracker)
    world.cvat.set_streams(announce=False)
    silent = ask_to_begin(world, frame=3)
    tracker.let_go.set()
    agent.wait_for(lambda: status_of(world, first) == "finished")
    agent.wait_for(lambda: status_of(world, silent) == "finished")


def test_what_is_handed_out_while_it_is_in_hand_is_served_once(world: World) -> None:
    tracker = StickyTracker()
    agent = world.new_toy(tracker=tracker, patience=PATIENT).start().wait_ready()
    world.cvat.set_redelivery(to_same_agent=True)
    tracker.let_go.clear()
    request = ask_to_begin(world)
    agent.wait_for(lambda: world.cvat.request(request.key).handed_out >= 2)
    asked = world.cvat.count(ACQUIRE)
    world.cvat.cut_streams(world.function)  # it asks again when the stream is open anew
    agent.wait_for(lambda: world.cvat.count(ACQUIRE) > asked)
    tracker.let_go.set()
    agent.wait_for(lambda: status_of(world, request) == "finished")
    agent.wait_for(lambda: not keys(world, "requests"))
    assert agent.metric("request_seconds_count", type="init_tracking", outcome="completed") == 1
    assert world.cvat.request(request.key).handed_out < 10, "it does not spin"


def test_a_cvat_that_gives_new_ids_to_what_is_in_hand_gets_its_answers(world: World) -> None:
    world.new_toy(patience=PATIENT).start().wait_ready()
    world.cvat.set_redelivery(to_same_agent=True, new_id=True)
    assert len(world.track(stop=4)) == 4


def test_what_agents_died_of_is_served_alone(world: World) -> None:
    """So that it takes none with it that would be blamed for its agent's end, too."""
    left = [left_by_one_that_died(world, frame) for frame in range(3)]
    tracker = StickyTracker()
    tracker.let_go.clear()
    agent = world.new_toy(tracker=tracker, patience=PATIENT).start()
    agent.wait_for(lambda: agent.status.lease_held() and tracker.encoded == 1)
    another = ask_to_begin(world, frame=9)
    asked = agent.clock.now()
    agent.wait_for(lambda: agent.clock.now() > asked + 3 * PATIENT.poll)
    assert attempts(world) == [1, 1, 2], "those of the others are not counted yet"
    assert status_of(world, another) == "queued"
    tracker.let_go.set()
    for request in (*left, another):
        agent.wait_for(lambda request=request: status_of(world, request) == "finished")  # type: ignore[misc]


def test_all_that_events_told_of_is_taken_at_once_but_not_more_than_some(world: World) -> None:
    tracker = StickyTracker()
    agent, first = with_one_in_hand(world, tracker)
    slow = world.cvat.faults.stall(ACQUIRE)
    asked = [first, ask_to_begin(world, 1)]
    agent.wait_for(lambda: slow.taken() == 1)
    asked += [ask_to_begin(world, frame) for frame in range(2, AT_ONCE + 2)]  # told of before it is answered
    world.cvat.faults.release()
    agent.wait_for(lambda: [status_of(world, each) for each in asked].count("started") == AT_ONCE)
    tracker.let_go.set()
    for request in asked:
        agent.wait_for(lambda request=request: status_of(world, request) == "finished")  # type: ignore[misc]


def track_own(world: World, number: int) -> list[Shapes]:
    """Track what only this annotator draws, two of them from the same frame on; return the later frames."""
    left, top = 5 * number, 3 * number
    shapes = [
        Shape.mask(np.roll(disk_bitmap(0), 5 * number, axis=1)),
        Shape.polygon((left, top), (left + 30, top), (left + 30, top + 30), (left, top + 30)),
        Shape.mask(np.roll(square_bitmap(0), -5 * number, axis=1)),
    ]
    with world.annotator() as annotator:
        track = annotator.track(world.function, world.task, shapes, start=number // 2, stop=LENGTH - 1)
    return [frame.shapes for frame in track.frames[1:]]


def with_one_in_hand(world: World, tracker: StickyTracker) -> tuple[InProcessAgent, RequestRecord]:
    """An agent whose model is stuck in a request, and that asks for no other until an event tells of one."""
    clock = RestWatch()
    patience = replace(PATIENT, poll=POLL_SECONDS)
    agent = world.new_toy(tracker=tracker, patience=patience, clock=clock).start().wait_ready()
    agent.wait_for(clock.rests)
    tracker.let_go.clear()
    request = ask_to_begin(world)  # found by its event, or when the stream opened: either way it is open now
    agent.wait_for(lambda: status_of(world, request) == "started")
    agent.wait_for(clock.rests)  # having asked whether there is more
    return agent, request


def begin(world: World, objects: int) -> list[str]:
    """Begin to track so many masks on frame 0; return the states."""
    shapes: list[Shape] = [drawn_shapes()[0]] * objects
    answer = world.run(type="init_tracking", frame=0, shapes=[shape.to_json() for shape in shapes])
    states: list[str] = answer["states"]
    return states


def track(world: World, states: Sequence[str], frame: int) -> RequestRecord:
    """Ask for a frame, and wait for nothing."""
    parameters = {"type": "track", "task": world.task, "frame": frame, "states": list(states)}
    return world.cvat.submit(world.function, parameters, "ann")


def left_by_one_that_died(world: World, frame: int) -> RequestRecord:
    """A request that was in the hands of an agent that died."""
    request = ask_to_begin(world, frame)
    Agent(Caller(world.cvat.url, world.robot.token), world.function, "s2t_test").acquire()
    assignment = Assignment(ar_id=request.id, ar_params=request.params)
    with world.redis.client() as client:
        client.hset(f"{PREFIX}requests", request.id, Recorded(assignment=assignment, attempts=1).dump())
    return request


def attempts(world: World) -> list[int]:
    """How many agents began each of the recorded requests, in rising order."""
    with world.redis.client() as client:
        recorded = client.hgetall(f"{PREFIX}requests")
    return sorted(Recorded.load(data, ar_id.decode()).attempts for ar_id, data in recorded.items())
