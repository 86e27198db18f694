"""An older CVAT knows rectangles only, as bare lists of numbers."""

from __future__ import annotations

from tests.simulation.redis import SimRedis
from tests.unit.agent.serverless.one_agent import BOX, One


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
