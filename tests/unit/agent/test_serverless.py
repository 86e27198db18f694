"""Serverless trackers: whoever calls again, or calls another agent, goes on with the same track."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from random import Random
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.answers import serverless
from sam2_agent.core import calls
from sam2_agent.core.patience import Patience
from sam2_agent.core.ports import Taken
from sam2_agent.core.status import Status
from sam2_agent.errors import RequestRefused, StoreUnavailable
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.simulation.redis.replies import Reply
from tests.toy_tracker import ToyTracker

P = ParamSpec("P")
T = TypeVar("T")

BOX = {"type": "rectangle", "points": [2.0, 2.0, 9.0, 9.0]}
OTHER = {"type": "mask", "points": [1.0, 5.0, 2.0, 4.0, 12.0, 4.0, 15.0, 6.0]}


def picture(number: int) -> bytes:
    """An image, encoded as `decode` reads it."""
    return f"picture {number}".encode()


def decode(data: bytes) -> NDArray[np.uint8]:
    seed = int.from_bytes(hashlib.sha256(data).digest()[:4], "big")
    return np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)


class One:
    """An agent without its loop."""

    def __init__(self, server: SimRedis, seed: int = 1) -> None:
        self.tracker = ToyTracker()
        self.fail_publishing = False
        self.store = RedisStore(
            SimRedisClient(server, _at_once),
            prefix="s2t:{u}:",
            holder="pod",
            state_seconds=100,
            memory_seconds=100,
            on_answer=lambda: None,
        )
        self._serverless = serverless(
            tracker=self.tracker,
            compute=_compute,
            records=self.store,
            clock=BootClock(),
            events=Metrics(Status("test", BootClock())),
            rng=Random(seed),
            decode=decode,
            shape_types=frozenset({"mask", "polygon", "rectangle"}),
            patience=Patience(),
        )

    async def call(self, number: int, *, shapes: list[Any] = [], states: list[Any] = []) -> dict[str, Any]:  # noqa: B006
        """Answer as CVAT calls."""
        taken = await self.store.take("1" * 32, 10)
        assert isinstance(taken, Taken)
        body = {"image": base64.b64encode(picture(number)).decode(), "shapes": shapes, "states": states}
        return await self._serverless.answer(calls.parse(json.dumps(body).encode()), taken.token)


async def _compute(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


async def _at_once(attempt: Callable[[], Reply]) -> Reply:
    return attempt()


@pytest.fixture
def server() -> SimRedis:
    return SimRedis(lambda: 0.0)


async def tracked(next_agent: Callable[[], One], frames: int, *, calls_each: int = 1) -> list[Any]:
    """What an annotator gets who tracks two objects; each call may be made several times."""
    begun = await next_agent().call(0, shapes=[BOX, OTHER])
    states, shapes = begun["states"], []
    assert begun["shapes"] == [BOX, OTHER]
    for number in range(1, frames):
        answers = [
            await next_agent().call(number, shapes=[None, None], states=states) for _ in range(calls_each)
        ]
        assert all(answer == answers[0] for answer in answers)
        states = answers[0]["states"]
        shapes.append(answers[0]["shapes"])
    return shapes


async def test_a_new_agent_for_every_call_gives_the_same_answers(server: SimRedis) -> None:
    one = One(SimRedis(lambda: 0.0))
    expected = await tracked(lambda: one, 40)
    assert any(shape for shapes in expected for shape in shapes)
    assert await tracked(lambda: One(server), 40) == expected
    assert one.tracker.steps == 2 * 40


async def test_a_call_that_is_repeated_moves_nothing(server: SimRedis) -> None:
    one = One(SimRedis(lambda: 0.0))
    expected = await tracked(lambda: one, 20)
    twins = [One(server), One(server, 2)]

    def next_agent() -> One:
        twins.reverse()
        return twins[0]

    assert await tracked(next_agent, 20, calls_each=3) == expected
    assert sum(each.tracker.steps for each in twins) == 2 * 20


async def test_two_ways_from_one_state_are_two_tracks(server: SimRedis) -> None:
    one = One(server)
    begun = (await one.call(0, shapes=[BOX]))["states"]
    here, there = [await one.call(number, states=begun) for number in (1, 2)]
    assert here["states"] != there["states"]
    on_from_here = await One(server).call(3, states=here["states"])
    assert on_from_here != await one.call(3, states=there["states"])
    assert on_from_here == await one.call(3, states=here["states"])


async def test_one_call_may_begin_one_track_and_go_on_with_another(server: SimRedis) -> None:
    one = One(server)
    begun = (await one.call(0, shapes=[BOX]))["states"]
    both = await one.call(1, shapes=[None, OTHER], states=[begun[0], None])
    assert both["shapes"][1] == OTHER
    alone = await one.call(1, states=begun)
    assert (both["shapes"][0], both["states"][0]) == (alone["shapes"][0], alone["states"][0])
    assert (await one.call(2, states=both["states"]))["shapes"]


async def test_rectangles_of_an_old_cvat_are_bare_lists(server: SimRedis) -> None:
    one = One(server)
    begun = await one.call(0, shapes=[BOX["points"]])
    assert begun["shapes"] == [BOX["points"]]
    states = begun["states"]
    found = []
    for number in range(1, 80):
        answer = await One(server).call(number, shapes=[None], states=states)
        states = answer["states"]
        found += answer["shapes"]
    assert all(len(shape) == 4 for shape in found)
    assert len({tuple(shape) for shape in found}) > 50


async def test_an_old_cvat_is_told_where_an_object_was_that_is_not_seen(server: SimRedis) -> None:
    """Its page knows no other answer than a rectangle."""
    states = (await One(server).call(0, shapes=[BOX["points"]]))["states"]
    told = [BOX["points"]]
    for number in (1, 2, 3):
        lost = One(server)
        lost.tracker.sees = number == 2
        answer = await lost.call(number, states=states)
        assert answer == await One(server).call(number, states=states)
        states = answer["states"]
        told += answer["shapes"]
    assert told[1] == told[0] != told[2] == told[3]


@pytest.mark.parametrize("kind", ["link", "memory", "answer"])
async def test_what_is_lost_is_told_to_the_annotator(server: SimRedis, kind: str) -> None:
    states = (await One(server).call(0, shapes=[BOX]))["states"]
    client = SimRedisClient(server, _at_once)
    name = states[0].removeprefix("s2ts1.")
    assert await client.delete(f"s2t:{{u}}:{kind}:{name}") == 1
    with pytest.raises(RequestRefused, match="draw the shape again and run"):
        await One(server).call(1, states=states)


async def test_the_annotator_is_told_which_of_several_objects_are_lost(server: SimRedis) -> None:
    states = (await One(server).call(0, shapes=[BOX, OTHER, BOX]))["states"]
    client = SimRedisClient(server, _at_once)
    names = [state.removeprefix("s2ts1.") for state in states]
    await client.delete(f"s2t:{{u}}:memory:{names[1]}")
    with pytest.raises(RequestRefused, match=r"this track, object 2 of 3 \(.* draw the shape again and run"):
        await One(server).call(1, states=states)
    await client.delete(f"s2t:{{u}}:link:{names[0]}", f"s2t:{{u}}:link:{names[2]}")
    with pytest.raises(RequestRefused, match="this track, objects 1, 3 of 3 "):
        await One(server).call(1, states=states)


async def test_all_that_an_answer_needs_lives_as_long_as_it() -> None:
    """Told again, a state can be gone on with as long as one that is new; records here live 100 seconds."""
    now = 0.0
    server = SimRedis(lambda: now)
    one = One(server)
    begun = (await one.call(0, shapes=[BOX]))["states"]
    now = 90.0
    first = await one.call(1, states=begun)
    now = 180.0
    assert await One(server).call(1, states=begun) == first
    now = 270.0
    assert await one.call(1, states=begun) == first
    now = 360.0
    assert await One(server).call(2, states=first["states"])


async def test_a_memory_that_is_lost_is_computed_again_where_the_image_is_at_hand(server: SimRedis) -> None:
    one = One(SimRedis(lambda: 0.0))
    begun = (await one.call(0, shapes=[BOX]))["states"]
    answered = await one.call(1, states=begun)
    expected = await one.call(2, states=answered["states"])
    client = SimRedisClient(server, _at_once)
    name = answered["states"][0].removeprefix("s2ts1.")
    for kind in ("memory", "link"):
        server.restore({})
        assert (await One(server).call(0, shapes=[BOX]))["states"] == begun
        assert await One(server).call(1, states=begun) == answered
        assert await client.delete(f"s2t:{{u}}:{kind}:{name}") == 1
        assert await One(server).call(1, states=begun) == answered
        assert await One(server).call(2, states=answered["states"]) == expected


async def test_a_call_of_long_ago_is_answered_again(server: SimRedis) -> None:
    """Though nobody could go on from there."""
    one = One(server)
    states, told = (await one.call(0, shapes=[BOX]))["states"], []
    for number in range(1, 30):
        told.append((states, await one.call(number, states=states)))
        states = told[-1][1]["states"]
    kept = len(server.keys)
    again = One(server)
    for number, (asked, answer) in enumerate(told, 1):
        assert await again.call(number, states=asked) == answer
    assert len(server.keys) <= kept + 9, "what is put out of reach goes, as on the first way"


@pytest.mark.parametrize("kind", ["link", "memory", "answer"])
@pytest.mark.parametrize("repeated", [False, True])
async def test_what_redis_lost_is_written_again_by_an_agent_that_still_has_it(
    server: SimRedis, kind: str, repeated: bool
) -> None:
    """As one that is restarted loses its last second; the agent is killed later."""
    one = One(SimRedis(lambda: 0.0))
    begun = (await one.call(0, shapes=[BOX]))["states"]
    first = await one.call(1, states=begun)
    second = await one.call(2, states=first["states"])
    expected = await one.call(3, states=second["states"])
    one, client = One(server), SimRedisClient(server, _at_once)
    assert (await one.call(0, shapes=[BOX]))["states"] == begun
    assert await one.call(1, states=begun) == first
    name = first["states"][0].removeprefix("s2ts1.")
    assert await client.delete(f"s2t:{{u}}:{kind}:{name}") == 1
    if repeated:
        assert await one.call(1, states=begun) == first
        assert await One(server).call(2, states=first["states"]) == second
    else:
        assert await one.call(2, states=first["states"]) == second
        assert await One(server).call(2, states=first["states"]) == second
    assert await One(server).call(3, states=second["states"]) == expected


async def test_an_image_of_another_size_is_refused(server: SimRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    one = One(server)
    states = (await one.call(0, shapes=[BOX]))["states"]
    monkeypatch.setitem(globals(), "decode", lambda _: np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(RequestRefused, match="10x10 pixels, but the track began on a frame of 32x24"):
        await One(server).call(1, states=states)


async def test_states_cannot_be_guessed(server: SimRedis) -> None:
    first, second = [await One(server, seed).call(0, shapes=[BOX]) for seed in (1, 2)]
    assert first["states"] != second["states"]
    assert len(first["states"][0]) < 100


async def test_no_answer_is_out_before_its_memory(server: SimRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    one = One(server)
    states = (await one.call(0, shapes=[BOX]))["states"]

    async def full(*_: object) -> None:
        raise StoreUnavailable("Redis is full.", reason="RedisRefused")

    with monkeypatch.context() as patch:
        patch.setattr(one.store, "remember", full)
        with pytest.raises(StoreUnavailable):
            await one.call(1, states=states)
        assert sum(b"answer:" in key for key in server.keys) == 1
    answered = await One(server).call(1, states=states)
    assert answered == await one.call(1, states=states)
    assert (await One(server).call(2, states=answered["states"]))["states"]


SENSELESS = [
    (b"[]", "should be an object|is not an object"),
    (b'"call"', "should be an object|is not an object"),
    (b'{"image": "", "shapes": [], "states": []}', "names no object"),
    (b'{"image": 1, "shapes": [null]}', "image"),
    (b'{"image": "%", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "YQ", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "\\u20ac", "shapes": [[1,2,3,4]]}', "not base64"),
    (b'{"image": "", "shapes": [null], "states": [null]}', "neither a shape nor a tracking state"),
    (b'{"image": "", "shapes": ["mask"]}', "A shape is not understood .it has no type and points"),
    (b'{"image": "", "shapes": [{"type": "mask"}]}', "points: Field required"),
    (b'{"image": "", "shapes": [[1, 2, 3, 1e999]]}', "not understood"),
    (b'{"image": "", "states": [{"a": 1}]}', "not one that this function wrote"),
    (b'{"image": "", "states": ["s2ts1.' + b"0" * 63 + b'"]}', "not one that this function wrote"),
    (b'{"image": "", "shapes": ' + b"[" * 900 + b"]" * 900 + b"}", "not understood"),
    (b'{"image": "", "shapes": [[1' + b",1" * 2**21 + b"]]}", "more parts than"),
    (b'{"image": "", "shapes": [[]' + b",[]" * 2**18 + b"]}", "more parts than"),
    (b'{"image": "", "states": [' + b"null," * 256 + b"null]}", "257 objects are too many"),
]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        *SENSELESS,
        (b"", "its JSON"),
        (b'{"image": "", "shapes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not understood"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_with_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestRefused, match=sentence) as refused:
        calls.parse(body)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(("body", "sentence"), SENSELESS)
def test_so_is_one_that_somebody_parsed_already(body: bytes, sentence: str) -> None:
    with pytest.raises(RequestRefused, match=sentence) as refused:
        calls.read(json.loads(body))
    assert len(str(refused.value)) < 300
    assert "_" not in str(refused.value)


async def test_all_objects_of_an_image_are_tracked_at_once(server: SimRedis) -> None:
    """CVAT sends them in one call, however many somebody drew."""
    boxes = [{**BOX, "points": [1.0 + i / 8, 2.0, 9.0 + i / 8, 9.0]} for i in range(70)]
    one = One(server)
    begun = await one.call(0, shapes=boxes)
    assert begun["shapes"] == boxes
    told = await one.call(1, states=begun["states"])
    assert len(set(told["states"])) == 70
    alone = await One(server).call(1, states=begun["states"][40:41])
    assert (told["shapes"][40], told["states"][40]) == (alone["shapes"][0], alone["states"][0])
    assert one.tracker.at_once == 32
