"""An annotator tracks objects with a real agent process, the small model, a real Redis and the stand-in."""

from __future__ import annotations

import pytest

from tests.integration.agent.conftest import LENGTH, World, disk_bitmap, drawn_shapes, square_bitmap
from tests.integration.agent.conftest import HEIGHT, WIDTH


def test_objects_of_several_types_are_tracked(world: World) -> None:
    agent = world.new_agent()
    agent.start()
    agent.wait_ready()

    with world.annotator() as annotator:
        track = annotator.track(world.function, world.task, drawn_shapes(), start=0, stop=LENGTH - 1)

    assert [frame.frame for frame in track.frames] == list(range(LENGTH))
    for frame in track.frames[1:]:
        mask, polygon, second = frame.shapes
        assert mask and polygon and second, frame.frame
        assert [shape.type for shape in (mask, polygon, second)] == ["mask", "polygon", "mask"]
        for shape, truth in ((mask, disk_bitmap(frame.frame)), (second, square_bitmap(frame.frame))):
            found = shape.bitmap(HEIGHT, WIDTH)
            assert (found & truth).sum() / (found | truth).sum() > 0.7, frame.frame
    assert agent.metric("sam2_agent_steps_computed_total") == 3 * LENGTH
    assert {record.status for record in world.cvat.requests(world.function)} == {"finished"}
