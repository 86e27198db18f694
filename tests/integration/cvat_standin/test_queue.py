"""The queue of a function, as agents and annotators see it."""

from __future__ import annotations

import pytest

from tests.cvat_standin.wire import MAX_STATE_LENGTH
from tests.integration.cvat_standin.caller import Asking, Caller
from tests.integration.cvat_standin.conftest import World
from tests.integration.cvat_standin.scene import green_polygon, red_mask


def test_run_blocks_until_the_agent_answers(world: World) -> None:
    agent = world.agent()
    assert agent.acquire() is None
    asking = world.begin()
    assert agent.acquire("batch") is None
    request = agent.acquire()
    assert request is not None
    assert request["function_id"] == world.function
    assert request["ar_params"]["type"] == "init_tracking"
    assert request["ar_params"]["task"] == world.task
    assert request["ar_params"]["shapes"][0]["points"] == list(red_mask(0).points)
    assert agent.acquire() is None
    assert agent.report(request["ar_id"], "update", progress=0.5).status == 204
    assert asking.waits
    assert agent.report(request["ar_id"], "complete", states=["s1"]).status == 204
    assert (asking.answer().status, asking.answer().json()) == (200, {"states": ["s1"]})

    following = world.follow(["s1"])
    request = agent.acquire()
    assert request is not None
    assert request["ar_params"] == {"type": "track", "task": world.task, "frame": 1, "states": ["s1"]}
    shape = {"type": "mask", "points": list(red_mask(1).points)}
    assert agent.report(request["ar_id"], "complete", states=["s2"], shapes=[shape]).status == 204
    answer = following.answer().json()
    assert answer["states"] == ["s2"]
    assert answer["shapes"][0] | shape == answer["shapes"][0]


def test_a_failure_reaches_the_annotator_in_the_agents_words(world: World) -> None:
    agent, asking = world.agent(), world.begin()
    request = agent.acquire()
    assert request is not None
    assert agent.report(request["ar_id"], "fail", exc_info="x" * 4097).status == 400
    assert agent.report(request["ar_id"], "fail", exc_info="No object there.").status == 204
    assert (asking.answer().status, asking.answer().json()) == (500, {"detail": "No object there."})


def test_a_request_is_its_agents_alone(world: World) -> None:
    world.begin()
    request = world.agent("agent_1").acquire()
    assert request is not None
    other = world.agent("agent_2")
    for what, body in (
        ("complete", {"states": ["s"]}),
        ("fail", {"exc_info": "no"}),
        ("update", {"progress": 1}),
    ):
        assert other.report(request["ar_id"], what, **body).status == 404
        assert world.agent("agent_1").report("no-such-request", what, **body).status == 404
    world.cvat.set_redelivery(refusal_status=409)
    assert other.report(request["ar_id"], "complete", states=["s"]).status == 409
    assert world.agent("agent_1").report(request["ar_id"], "complete", states=["s"]).status == 204
    assert world.agent("agent_1").report(request["ar_id"], "complete", states=["s"]).status == 409


@pytest.mark.parametrize("agent_id", ["", "x" * 65, "with-dash", "with space", "ümlaut!"])
def test_agent_ids_are_checked(world: World, agent_id: str) -> None:
    body = {"agent_id": agent_id, "request_category": "interactive"}
    answer = world.call("POST", f"/api/functions/queues/function:{world.function}/requests/acquire", body)
    assert answer.status == 400
    assert list(answer.json()) == ["agent_id"]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"states": []},
        {"states": ["a", "b"]},
        {"states": [""]},
        {"states": ["x" * (MAX_STATE_LENGTH + 1)]},
        {"states": ["a"], "shapes": [None]},
    ],
    ids=["none", "too few", "too many", "empty", "too long", "shapes too"],
)
def test_states_of_a_start_are_checked(world: World, answer: dict[str, object]) -> None:
    asking = world.begin()
    request = world.agent().acquire()
    assert request is not None
    assert world.agent().report(request["ar_id"], "complete", **answer).status == 400
    assert asking.waits
    largest = "x" * MAX_STATE_LENGTH
    assert world.agent().report(request["ar_id"], "complete", states=[largest]).status == 204
    assert asking.answer().json() == {"states": [largest]}


@pytest.mark.parametrize(
    "shapes",
    [
        None,
        [],
        [None, None],
        [{"type": "polygon", "points": [1, 1, 9, 1, 9, 9]}],
        [{"type": "mask", "points": [0, 4, 0, 0, 1]}],
        [{"type": "mask", "points": [0, 3, 0, 0, 1, 1]}],
        [{"type": "mask", "points": [0, 4, 63, 0, 64, 1]}],
        [{"type": "mask", "points": [0.5, 3.5, 0, 0, 1, 1]}],
        [{"type": "blob", "points": [1]}],
    ],
    ids=[
        "none",
        "too few",
        "too many",
        "other type",
        "no box",
        "wrong sum",
        "outside",
        "fractions",
        "unknown type",
    ],
)
def test_shapes_of_a_step_are_checked(world: World, shapes: object) -> None:
    agent = world.agent()
    asking = world.begin()
    request = agent.acquire()
    assert request is not None
    agent.report(request["ar_id"], "complete", states=["s1"])
    assert asking.answer().status == 200
    following = world.follow(["s1"])
    request = agent.acquire()
    assert request is not None
    body = {"states": ["s2"]} | ({} if shapes is None else {"shapes": shapes})
    refused = agent.report(request["ar_id"], "complete", **body)
    assert (refused.status, list(refused.json())) == (400, ["shapes"])
    assert following.waits
    assert agent.report(request["ar_id"], "complete", states=["s2"], shapes=[None]).status == 204
    assert following.answer().json() == {"states": ["s2"], "shapes": [None]}


def test_run_refuses_what_makes_no_sense(world: World) -> None:
    task, mask, polygon = world.task, red_mask(0).to_json(), green_polygon(0).to_json()
    rectangle = {"type": "rectangle", "points": [1, 1, 5, 5]}
    for status, params in (
        (400, {}),
        (400, {"type": "init_tracking", "task": task, "shapes": [mask]}),
        (400, {"type": "init_tracking", "task": task, "frame": 0}),
        (400, {"type": "init_tracking", "task": task, "frame": 0, "shapes": [polygon, rectangle]}),
        (400, {"type": "init_tracking", "task": task, "frame": 6, "shapes": [mask]}),
        (400, {"type": "track", "task": task, "frame": 0, "states": []}),
        (400, {"type": "track", "task": task, "frame": 0, "states": [""]}),
        (400, {"type": "track", "task": task, "frame": 0, "states": ["s"] * 33}),
        (400, {"type": "track", "task": task, "job": 99, "frame": 0, "states": ["s"]}),
        (400, {"type": "annotate_task", "task": task}),
        (404, {"type": "track", "task": 99, "frame": 0, "states": ["s"]}),
    ):
        answer = world.call("POST", f"/api/functions/{world.function}/run", params)
        assert answer.status == status, (params, answer)
    assert world.cvat.requests() == []


def test_run_needs_access_to_the_task_and_the_function(world: World) -> None:
    bob = Caller(world.cvat.url, world.cvat.add_user("bob").token)
    params = {"type": "track", "task": world.task, "frame": 0, "states": ["s"]}
    assert bob("POST", f"/api/functions/{world.function}/run", params).status == 403
    public = world.call.create_function("public", visibility="public")
    assert bob("POST", f"/api/functions/{public}/run", params).status == 403
    world.cvat.assign_task(world.task, "bob")
    asking = Asking(bob, public, params)
    world.cvat.wait_for_request(public, "queued")
    world.cvat.forget_function(public)
    assert asking.answer().json() == {"detail": "The function has been deleted."}


def test_batches_are_asked_for_watched_and_cancelled(world: World) -> None:
    params = {
        "function": world.function,
        "type": "init_tracking",
        "task": world.task,
        "frame": 0,
        "shapes": [red_mask(0).to_json()],
    }
    made = world.call("POST", "/api/functions/requests/", params)
    assert made.status == 201
    path = f"/api/functions/requests/{made.json()['id']}"
    assert made.json()["function"] == {"id": world.function, "task": world.task}
    agent = world.agent()
    assert agent.acquire("interactive") is None
    request = agent.acquire("batch")
    assert request is not None
    assert agent.report(request["ar_id"], "update", progress=0.25).status == 204
    shown = world.call("GET", path).json()
    assert (shown["status"], shown["progress"], shown["ended"]) == ("started", 25, None)
    assert agent.report(request["ar_id"], "fail", exc_info="Not for batches.").status == 204
    assert world.call("GET", path).json()["exc_info"] == "Not for batches."

    other = world.call("POST", "/api/functions/requests/", params).json()
    assert [item["id"] for item in world.call("GET", "/api/functions/requests/").json()] == [
        made.json()["id"],
        other["id"],
    ]
    assert world.call("DELETE", f"/api/functions/requests/{other['id']}").status == 204
    assert agent.acquire("batch") is None
    stranger = Caller(world.cvat.url, world.cvat.add_user("bob").token)
    assert stranger("GET", path).status == 404


def test_anything_can_be_put_into_a_queue_for_a_test(world: World) -> None:
    record = world.cvat.submit(world.function, {"type": "annotate_task", "task": world.task}, "ann")
    request = world.agent().acquire()
    assert request is not None
    assert request["ar_params"] == {"type": "annotate_task", "task": world.task}
    world.agent().report(request["ar_id"], "fail", exc_info="This agent tracks.")
    assert world.cvat.request(record.key).exc_info == "This agent tracks."

    world.cvat.submit(
        world.function, {"type": "track", "task": world.task, "frame": 99, "states": ["s"]}, "ann"
    )
    request = world.agent().acquire()
    assert request is not None
    refused = world.agent().report(request["ar_id"], "complete", states=["s"], shapes=[None])
    assert (refused.status, refused.json()) == (400, ["Incorrect requested frame number: 99"])


def test_the_event_stream_tells_of_new_requests(world: World) -> None:
    world.cvat.set_streams(retry_milliseconds=250, keep_alive_seconds=20)
    with world.call.stream(f"/api/functions/queues/function:{world.function}/watch") as stream:
        assert stream.content_type.startswith("text/event-stream")
        assert stream.line() == "retry: 250"
        world.cvat.wait_for_watchers(world.function)
        world.begin()
        assert [stream.line() for _ in range(3)] == [
            "event: newrequest",
            'data: {"request_category": "interactive"}',
            "",
        ]
        world.cvat.advance(21)
        assert stream.line() == ": keep-alive"
        world.call("DELETE", f"/api/functions/{world.function}")
        assert stream.line() is None


def test_an_event_stream_may_lose_its_hints(world: World) -> None:
    world.cvat.set_streams(announce=False)
    with world.call.stream(f"/api/functions/queues/function:{world.function}/watch") as stream:
        assert stream.line() == "retry: 5000"
        world.cvat.wait_for_watchers(world.function)
        world.begin()
        world.cvat.advance(16)
        assert stream.line() == ": keep-alive"
        assert world.agent().acquire() is not None


def test_a_closed_event_stream_is_not_counted(world: World) -> None:
    with world.call.stream(f"/api/functions/queues/function:{world.function}/watch") as stream:
        assert stream.line() == "retry: 5000"
        world.cvat.wait_for_watchers(world.function)
    world.cvat.wait_for_watchers(world.function, 0)
