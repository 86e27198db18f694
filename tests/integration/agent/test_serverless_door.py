"""An agent that is called, as a process: killed or doubled, it gives the answers of an undisturbed one."""

from __future__ import annotations

import base64
import http.client
import io
import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import fault_table
from tests.cvat_standin.waiting import wait_for
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.conftest import LENGTH, drawn_shapes, picture
from tests.redis_server import RedisServer

NewAgent = Callable[..., AgentProcess]


class Refused(Exception):
    """The agent did not answer a call."""

    def __init__(self, status: int, sentence: str, after: str | None) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.sentence = sentence
        self.after = after


def encoded(frame: int) -> str:
    image = io.BytesIO()
    Image.fromarray(picture(frame)).save(image, "PNG")
    return base64.b64encode(image.getvalue()).decode()


def post(agent: AgentProcess, body: bytes, **headers: str) -> dict[str, Any]:
    request = urllib.request.Request(agent.door(), body, headers)  # noqa: S310  (http, our own)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            read: dict[str, Any] = json.load(answer)
            return read
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code, error.read().decode(), error.headers.get("Retry-After")) from None


def payload(frame: int, *, shapes: list[Any], states: list[Any]) -> bytes:
    return json.dumps({"image": encoded(frame), "shapes": shapes, "states": states}).encode()


def call(agent: AgentProcess, frame: int, states: list[Any] | None = None) -> dict[str, Any]:
    """Begin to track, or go on."""
    if states is None:
        return post(agent, payload(frame, shapes=[shape.to_json() for shape in drawn_shapes()], states=[]))
    return post(agent, payload(frame, shapes=[None] * len(states), states=states))


@pytest.fixture
def new_agent(redis_server: RedisServer, tmp_path: Path) -> Iterator[NewAgent]:
    agents: list[AgentProcess] = []

    def new(server: RedisServer = redis_server, **settings: str) -> AgentProcess:
        chosen = {"INTERFACE": "serverless", "DOOR_PORT": "0", "REDIS_URL": server.url, **settings}
        agent = AgentProcess(tmp_path / f"agent-{len(agents)}", chosen)
        agents.append(agent)
        agent.start()
        return agent

    yield new
    for agent in agents:
        agent.kill()


def ready(agent: AgentProcess) -> AgentProcess:
    agent.wait_ready()
    return agent


def track(answer: Callable[[int, list[Any] | None], dict[str, Any]]) -> list[Any]:
    """All shapes of a whole clip."""
    answered = answer(0, None)
    told = []
    for frame in range(1, LENGTH):
        answered = answer(frame, answered["states"])
        told.append(tuple(json.dumps(shape) for shape in answered["shapes"]))
    return told


@pytest.fixture
def expected(new_agent: NewAgent) -> list[Any]:
    """What an undisturbed agent answers."""
    agent = ready(new_agent(KEY_PREFIX="s2t:{undisturbed}:"))
    shapes = track(lambda frame, states: call(agent, frame, states))
    agent.kill()
    assert all(shape != "null" for shape in shapes[0])
    return shapes


def insist(agent: AgentProcess, frame: int, states: list[Any] | None) -> dict[str, Any]:
    """Call until there is an answer, as the gateway does."""
    answers: list[dict[str, Any]] = []

    def answered() -> bool:
        try:
            answers.append(call(agent, frame, states))
        except Refused as refused:
            if refused.status != 503:
                raise
        except OSError:
            pass
        return bool(answers)

    wait_for(answered, f"an answer for frame {frame}", within=60)
    return answers[0]


def test_an_agent_killed_again_and_again_gives_the_same_masks(
    new_agent: NewAgent, expected: list[Any]
) -> None:
    agent = ready(new_agent())
    with ThreadPoolExecutor(1) as pool:

        def answer(frame: int, states: list[Any] | None) -> dict[str, Any]:
            if frame in (5, 6, 12):
                agent.signal(signal.SIGSTOP)
                cut_off = pool.submit(call, agent, frame, states)
                agent.kill()
                assert isinstance(cut_off.exception(60), OSError)
                agent.start()
            return insist(agent, frame, states)

        told = track(answer)
    verdict = fault_table.add("serverless: agent killed", fault_table.judge(expected, told))
    assert verdict.clean, verdict


def test_two_agents_answer_as_one(new_agent: NewAgent, expected: list[Any]) -> None:
    first, second = ready(new_agent(HOLDER="pod-a")), new_agent(HOLDER="pod-b")
    second.wait_for(lambda: second.status().get("phase") == "WaitingForLease")
    refusals = []

    def answer(frame: int, states: list[Any] | None) -> dict[str, Any]:
        if frame == 10:
            first.signal(signal.SIGSTOP)
        if frame < 10:
            with pytest.raises(Refused) as refused:
                call(second, frame, states)
            refusals.append((refused.value.status, refused.value.after))
        found = insist(first if frame < 10 else second, frame, states)
        if frame == 15:
            first.signal(signal.SIGCONT)
            with pytest.raises(Refused) as late:
                wait_for(lambda: not call(first, frame, states), "the lease to be missed")
            assert late.value.status == 503
        return found

    told = track(answer)
    assert set(refusals) == {(503, "1")}
    verdict = fault_table.add("serverless: two agents", fault_table.judge(expected, told))
    assert verdict.clean, verdict


def test_every_refusal_is_a_sentence(new_agent: NewAgent, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret\n")
    agent = ready(new_agent(DOOR_TOKEN_FILE=str(token)))
    begun = payload(0, shapes=[shape.to_json() for shape in drawn_shapes()], states=[])
    told = {"X-SAM2-Door-Token": "secret"}
    for headers, body, status, words in (
        ({}, begun, 401, "Only the tracker's gateway"),
        ({"X-SAM2-Door-Token": "guessed"}, begun, 401, "Only the tracker's gateway"),
        (told, b"{}", 400, "image: Field required"),
        (told, payload(1, shapes=[], states=["s2ts1." + "0" * 64]), 400, "draw the shape again and run"),
        (told, b'{"image": "aGVsbG8=", "shapes": [[1,1,9,9]]}', 400, "cannot be read as an image"),
    ):
        with pytest.raises(Refused, match=words) as refused:
            post(agent, body, **headers)
        assert refused.value.status == status
    assert post(agent, begun, **told)["states"]
    token.write_text("changed")
    with pytest.raises(Refused, match="401"):
        post(agent, begun, **told)


def test_a_call_too_long_is_not_even_read(new_agent: NewAgent) -> None:
    agent = ready(new_agent())
    address = agent.door().removeprefix("http://").removesuffix("/")
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", str(2**30))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, "too long" in answer.read().decode()) == (400, True)
    connection.close()


def test_a_stopped_agent_finishes_what_it_began_and_leaves_at_once(
    new_agent: NewAgent, redis_server: RedisServer
) -> None:
    agent = ready(new_agent(LEASE_SECONDS="60"))
    begun = call(agent, 0)
    with redis_server.client() as client, ThreadPoolExecutor(1) as pool:

        def call_in_hand() -> bool:
            """Whether the agent waits for Redis to tell it a track's records."""
            return any(each["cmd"] == "getex" and "b" in each["flags"] for each in client.client_list())

        client.client_pause(60_000, all=False)  # whatever writes; to read is to let live anew
        answer = pool.submit(call, agent, 1, begun["states"])
        wait_for(call_in_hand, "the call to begin")
        agent.signal(signal.SIGTERM)
        agent.wait_for(lambda: agent.status().get("phase") == "Draining")
        assert not answer.done()
        client.client_unpause()
        told = answer.result(60)
    assert agent.wait_exit() == 0
    successor = ready(new_agent(LEASE_SECONDS="60"))
    assert call(successor, 1, begun["states"]) == told
