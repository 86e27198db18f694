"""Frames of a task that annotators delete: CVAT goes on serving them, so tracks go on over them."""

from __future__ import annotations

import pytest

from tests.integration.agent.conftest import World, drawn_shapes, picture
from tests.integration.agent.faults import ask_to_begin, status_of
from tests.integration.cvat_standin.caller import Caller


@pytest.mark.parametrize("known", [False, True], ids=["deleted before", "deleted after the first request"])
def test_a_frame_that_is_deleted_while_a_request_waits_is_tracked(world: World, known: bool) -> None:
    agent = world.new_toy()
    if known:
        agent.start().wait_ready()
        world.begin()
    delete_frames(world, world.task, [1])
    request = ask_to_begin(world, frame=1)
    if not known:
        agent.start()
    agent.wait_for(lambda: status_of(world, request) == "finished")


def test_a_track_over_a_frame_that_was_deleted_since_is_restored(world: World) -> None:
    pictures = [picture(frame) for frame in range(4)]
    first = world.new_toy().start().wait_ready()
    shapes = [drawn_shapes()[0].to_json()]
    answers = []
    for deleted in ([], [1]):
        task = world.cvat.add_task(pictures, "ann", assignees=["robot"])
        with world.annotator() as annotator:
            begun = {"type": "init_tracking", "task": task, "frame": 0, "shapes": shapes}
            answer = annotator.run(world.function, begun)
            for frame in (1, 2):
                further = {"type": "track", "task": task, "frame": frame, "states": answer["states"]}
                answer = annotator.run(world.function, further)
            delete_frames(world, task, deleted)
            if deleted:  # what was tracked has to be computed again
                first.stop()
                with world.redis.client() as client:
                    client.flushall()
                world.new_toy().start()
            further = {"type": "track", "task": task, "frame": 3, "states": answer["states"]}
            answers.append(annotator.run(world.function, further)["shapes"])
    assert answers[0] == answers[1]


def delete_frames(world: World, task: int, frames: list[int]) -> None:
    """Delete these frames, and only these, as the task's owner."""
    path = f"/api/tasks/{task}/data/meta"
    assert Caller(world.cvat.url, world.ann.token)("PATCH", path, {"deleted_frames": frames}).status == 200
