"""What a track goes on from is in Redis before its answer; what Redis lost is written again, or told."""

from __future__ import annotations

import pytest

from sam2_agent.errors import RequestRefused, StoreUnavailable
from tests.simulation.redis import SimRedis, SimRedisClient
from tests.unit.agent.serverless.one_agent import BOX, OTHER, One, at_once


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
    one, client = One(server), SimRedisClient(server, at_once)
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


async def test_a_memory_that_is_lost_is_computed_again_where_the_image_is_at_hand(server: SimRedis) -> None:
    one = One(SimRedis(lambda: 0.0))
    begun = (await one.call(0, shapes=[BOX]))["states"]
    answered = await one.call(1, states=begun)
    expected = await one.call(2, states=answered["states"])
    client = SimRedisClient(server, at_once)
    name = answered["states"][0].removeprefix("s2ts1.")
    for kind in ("memory", "link"):
        server.restore({})
        assert (await One(server).call(0, shapes=[BOX]))["states"] == begun
        assert await One(server).call(1, states=begun) == answered
        assert await client.delete(f"s2t:{{u}}:{kind}:{name}") == 1
        assert await One(server).call(1, states=begun) == answered
        assert await One(server).call(2, states=answered["states"]) == expected


@pytest.mark.parametrize("kind", ["link", "memory", "answer"])
async def test_what_is_lost_is_told_to_the_annotator(server: SimRedis, kind: str) -> None:
    states = (await One(server).call(0, shapes=[BOX]))["states"]
    client = SimRedisClient(server, at_once)
    name = states[0].removeprefix("s2ts1.")
    assert await client.delete(f"s2t:{{u}}:{kind}:{name}") == 1
    with pytest.raises(RequestRefused, match="draw the shape again and run"):
        await One(server).call(1, states=states)


async def test_the_annotator_is_told_which_of_several_objects_are_lost(server: SimRedis) -> None:
    states = (await One(server).call(0, shapes=[BOX, OTHER, BOX]))["states"]
    client = SimRedisClient(server, at_once)
    names = [state.removeprefix("s2ts1.") for state in states]
    await client.delete(f"s2t:{{u}}:memory:{names[1]}")
    with pytest.raises(RequestRefused, match=r"this track, object 2 of 3 \(.* draw the shape again and run"):
        await One(server).call(1, states=states)
    await client.delete(f"s2t:{{u}}:link:{names[0]}", f"s2t:{{u}}:link:{names[2]}")
    with pytest.raises(RequestRefused, match="this track, objects 1, 3 of 3 "):
        await One(server).call(1, states=states)
