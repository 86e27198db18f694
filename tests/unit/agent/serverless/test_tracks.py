"""Serverless trackers: whoever calls again, or calls another agent, goes on with the same track."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sam2_agent.errors import RequestRefused
from tests.simulation.redis import SimRedis
from tests.unit.agent.serverless.one_agent import BOX, OTHER, One


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


async def test_states_cannot_be_guessed(server: SimRedis) -> None:
    first, second = [await One(server, seed).call(0, shapes=[BOX]) for seed in (1, 2)]
    assert first["states"] != second["states"]
    assert len(first["states"][0]) < 100


async def test_an_image_of_another_size_is_refused(server: SimRedis) -> None:
    states = (await One(server).call(0, shapes=[BOX]))["states"]
    other = One(server, decode=lambda _: np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(RequestRefused, match="10x10 pixels, but the track began on a frame of 32x24"):
        await other.call(1, states=states)
