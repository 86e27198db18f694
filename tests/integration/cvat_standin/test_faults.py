"""Each misbehaviour, seen from outside."""

from __future__ import annotations

import pytest
import urllib3

from tests.cvat_standin.annotator import Annotator, RunError
from tests.integration.cvat_standin.caller import Asking, tracker
from tests.integration.cvat_standin.conftest import World
from tests.integration.cvat_standin.scene import red_mask

CREATE = "POST /api/functions"
RUN = "POST /api/functions/{id}/run"


def start_of(world: World) -> dict[str, object]:
    return {"type": "init_tracking", "task": world.task, "frame": 0, "shapes": [red_mask(0).to_json()]}


def test_an_error_comes_before_anything_is_done(world: World) -> None:
    fault = world.cvat.faults.status(CREATE, 503, times=2)
    for _ in range(2):
        answer = world.call("POST", "/api/functions", tracker())
        assert (answer.status, answer.json()) == (503, {"detail": "The server misbehaves on request."})
    assert len(world.cvat.functions()) == 1
    assert world.call("POST", "/api/functions", tracker()).status == 201
    assert fault.taken() == 2


def test_an_error_may_come_after_all_is_done(world: World) -> None:
    world.cvat.faults.status(CREATE, 500, when="after")
    world.cvat.faults.ingress(CREATE, 504, when="after")
    answers = [world.call("POST", "/api/functions", tracker(name)) for name in ("a", "b", "c")]
    assert [answer.status for answer in answers] == [500, 504, 201]
    assert [function.name for function in world.cvat.functions()] == ["Tracker", "a", "b", "c"]


def test_too_many_requests_say_when_to_come_again(world: World) -> None:
    world.cvat.faults.status("GET /api/functions/{id}", 429, retry_after="7")
    answer = world.call("GET", f"/api/functions/{world.function}")
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    assert world.call("GET", f"/api/functions/{world.function}").status == 200


def test_a_call_may_be_sent_elsewhere(world: World) -> None:
    world.cvat.faults.redirect(CREATE, "https://login.example.com/?rd=secret", status=307)
    answer = world.call("POST", "/api/functions", tracker())
    assert (answer.status, answer.headers["Location"]) == (307, "https://login.example.com/?rd=secret")
    assert len(world.cvat.functions()) == 1


def test_an_answer_may_come_slowly_but_whole(world: World) -> None:
    path = f"/api/tasks/{world.task}/data/?type=frame&number=0&quality=original"
    frame = world.call("GET", path).data
    world.cvat.faults.trickle("GET /api/tasks/{id}/data/", pieces=5, seconds=0.02)
    assert world.call("GET", path).data == frame
    [_, slow] = world.cvat.log("GET /api/tasks/{id}/data/")
    assert slow.milliseconds is not None
    assert slow.milliseconds > 90


def test_a_fault_can_wait_for_its_call(world: World) -> None:
    world.cvat.faults.status("* /api/tasks/**", 500, skip=1, query={"type": "frame"})
    frame = f"/api/tasks/{world.task}/data/?type=frame&quality=original&number="
    statuses = [world.call("GET", frame + str(number)).status for number in (0, 1, 2)]
    assert statuses == [200, 500, 200]
    assert world.call("GET", f"/api/tasks/{world.task}").status == 200


def test_a_fault_may_stay_until_cleared(world: World) -> None:
    fault = world.cvat.faults.status("GET /api/users/self", 500, times=None)
    assert {world.call("GET", "/api/users/self").status for _ in range(5)} == {500}
    fault.clear()
    assert world.call("GET", "/api/users/self").status == 200


def test_an_ingress_answers_in_html(world: World) -> None:
    world.cvat.faults.ingress("GET /api/functions/{id}")
    answer = world.call("GET", f"/api/functions/{world.function}")
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"<h1>404 Not Found</h1>" in answer.data


def test_a_dropped_reply_hides_what_was_done(world: World) -> None:
    world.cvat.faults.drop_reply(CREATE)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        world.call("POST", "/api/functions", tracker("Hidden"))
    assert [function.name for function in world.cvat.functions()] == ["Tracker", "Hidden"]


def test_a_dropped_reply_to_an_agent_does_not_hide_the_answer(world: World) -> None:
    asking, agent = world.begin(), world.agent()
    request = agent.acquire()
    assert request is not None
    world.cvat.faults.drop_reply("POST /api/functions/queues/{id}/requests/{id}/complete")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        agent.report(request["ar_id"], "complete", states=["s"])
    assert asking.answer().json() == {"states": ["s"]}
    assert agent.report(request["ar_id"], "complete", states=["s"]).status == 404


def test_a_dropped_request_never_happened(world: World) -> None:
    world.cvat.faults.drop_request(CREATE)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        world.call("POST", "/api/functions", tracker())
    assert len(world.cvat.functions()) == 1
    assert world.cvat.log(CREATE)[-1].fault == "drop_request"


def test_a_truncated_reply_breaks_off(world: World) -> None:
    world.cvat.faults.truncate_reply("GET /api/tasks/{id}/data/")
    with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
        world.call("GET", f"/api/tasks/{world.task}/data/?type=frame&quality=original&number=0")


def test_a_stall_before_lasts_as_long_as_the_servers_clock_says(world: World) -> None:
    fault = world.cvat.faults.stall(RUN, seconds=60)
    asking = Asking(world.call, world.function, start_of(world))
    world.cvat.wait_for_calls(RUN)
    assert world.cvat.requests() == []
    world.cvat.advance(61)
    world.cvat.wait_for_request(world.function, "queued")
    assert fault.taken() == 1
    assert asking.waits


def test_a_stall_after_holds_back_what_is_done(world: World) -> None:
    world.cvat.faults.stall(RUN, seconds=60, when="after")
    asking = Asking(world.call, world.function, start_of(world))
    world.cvat.wait_for_request(world.function, "queued")
    request = world.agent().acquire()
    assert request is not None
    assert world.agent().report(request["ar_id"], "complete", states=["s"]).status == 204
    assert asking.waits
    world.cvat.advance(61)
    assert asking.answer().json() == {"states": ["s"]}


def test_a_stall_without_end_lasts_until_released(world: World) -> None:
    world.cvat.faults.stall(RUN)
    asking = Asking(world.call, world.function, start_of(world))
    world.cvat.wait_for_calls(RUN)
    world.cvat.advance(1_000_000)
    assert asking.waits
    assert world.cvat.requests() == []
    world.cvat.faults.release()
    world.cvat.wait_for_request(world.function, "queued")


@pytest.mark.parametrize("abrupt", [False, True], ids=["in order", "abruptly"])
def test_an_event_stream_may_end(world: World, abrupt: bool) -> None:
    path = f"/api/functions/queues/function:{world.function}/watch"
    with world.call.stream(path) as stream:
        assert stream.line() == "retry: 5000"
        world.cvat.wait_for_watchers(world.function)
        world.cvat.cut_streams(world.function, abrupt=abrupt)
        if abrupt:
            with pytest.raises(urllib3.exceptions.ProtocolError):
                stream.line()
        else:
            assert stream.line() is None
    with world.call.stream(path) as stream:
        assert stream.line() == "retry: 5000"


def test_a_forgotten_function_may_leave_its_stream_silent(world: World) -> None:
    with world.call.stream(f"/api/functions/queues/function:{world.function}/watch") as stream:
        assert stream.line() == "retry: 5000"
        world.cvat.forget_function(world.function, end_streams=False)
        world.cvat.advance(16)
        assert stream.line() == ": keep-alive"


def test_the_annotator_shows_the_servers_sentence_and_runs_the_action_again(world: World) -> None:
    world.cvat.faults.status(RUN, 500, detail="The agent is restarting.")
    with Annotator(world.cvat.url, world.ann.username, world.ann.password) as annotator:
        with pytest.raises(RunError, match=r"^The agent is restarting\.$"):
            annotator.track(world.function, world.task, [red_mask(0)], start=0, stop=1)
        world.cvat.faults.drop_request(RUN)
        with pytest.raises(RunError, match="Could not reach the server"):
            annotator.track(world.function, world.task, [red_mask(0)], start=0, stop=1)
    world.cvat.faults.status(RUN, 502, times=1)
    world.cvat.faults.ingress(RUN, 504, times=1)
    stubborn = Annotator(world.cvat.url, world.ann.username, world.ann.password, retries=1)
    with stubborn, pytest.raises(RunError, match="504 Gateway Timeout") as failure:
        stubborn.track(world.function, world.task, [red_mask(0)], start=0, stop=1)
    assert failure.value.status == 504


def test_the_log_names_who_did_what_and_no_secret(world: World) -> None:
    world.agent("agent_7").acquire()
    [entry] = world.cvat.log("POST /api/functions/queues/{id}/requests/acquire")
    assert (entry.user, entry.agent_id, entry.status) == ("ann", "agent_7", 200)
    assert entry.milliseconds is not None
    assert world.cvat.count(CREATE) == 1
    assert world.cvat.counters()["POST /api/functions 201"] == 1
    shown = "".join(entry.model_dump_json() for entry in world.cvat.log())
    assert world.ann.token not in shown
    assert world.ann.password not in shown
