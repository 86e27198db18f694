"""What an annotator expects of tracking, in whatever order she goes through the frames.

The measure is sam2's own predictor on the clip of exactly the frames that were tracked, in that order.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sam2_agent.core.masks import tight_box
from sam2_agent.core.polygons import outline, rasterize
from tests import fault_table
from tests.cvat_standin.annotator import Annotator, RunError, Shape
from tests.cvat_standin.waiting import wait_for
from tests.fault_table import judge
from tests.fidelity.clips import Clip, write_clip
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.agent.conftest import HEIGHT, LENGTH, WIDTH, World, disk_bitmap, drawn_shapes, picture
from tests.integration.cvat_standin.caller import Caller
from tests.samples import FULL
from tests.tiny_sam2.model import build_predictor
from tests.tiny_sam2.synthetic_video import DIFFICULTIES

Masks = list[NDArray[np.bool_]]
FRAMES = 50
WINDOW = 16


@dataclass(frozen=True)
class Page:
    """Ann's page on a task of synthetic video, with the small model behind it."""

    clip: Clip
    task: int
    function: int
    annotator: Annotator
    agent: AgentProcess
    predictor: Any
    folder: Path

    def begin(self, frame: int, *shapes: Shape) -> list[str]:
        begun = {"type": "init_tracking", "frame": frame, "shapes": [shape.to_json() for shape in shapes]}
        states: list[str] = self.annotator.run(self.function, {"task": self.task, **begun})["states"]
        return states

    def go(self, states: Sequence[str], frame: int) -> tuple[list[str], list[Shape | None]]:
        """Track one frame on; return the new states and what was found."""
        answer = self.annotator.run(
            self.function, {"task": self.task, "type": "track", "frame": frame, "states": list(states)}
        )
        return answer["states"], [shape and Shape.from_json(shape) for shape in answer["shapes"]]

    def follow(self, states: list[str], frames: Sequence[int]) -> list[list[Shape | None]]:
        found = []
        for frame in frames:
            states, shapes = self.go(states, frame)
            found.append(shapes)
        return found

    def reference(self, frames: Sequence[int], prompt: Shape, kind: str | None = None) -> list[Shape | None]:
        """What sam2's own predictor finds on the clip of these frames, begun on the first, as shapes.

        The clip is filled up to SAM2's window, as the task is longer than it.
        """
        clip = self.folder / "reference"
        shutil.rmtree(clip, ignore_errors=True)
        clip.mkdir()
        jpegs = sorted(self.clip.folder.iterdir())
        for place, frame in enumerate([*frames, *[frames[-1]] * WINDOW][: max(WINDOW, len(frames))]):
            shutil.copy(jpegs[frame], clip / f"{place:05d}.jpg")
        state = self.predictor.init_state(str(clip))
        if prompt.type == "rectangle":
            self.predictor.add_new_points_or_box(state, 0, 1, box=np.array(prompt.points, np.float32))
        else:
            height, width = self.clip.frames.shape[1:3]
            drawn = (
                rasterize(prompt.points, (width, height))
                if prompt.type == "polygon"
                else prompt.bitmap(height, width)
            )
            self.predictor.add_new_mask(state, 0, 1, drawn)
        found = self.predictor.propagate_in_video(state, max_frame_num_to_track=len(frames) - 1)
        return [written(kind or prompt.type, (logits > 0)[0, 0].numpy()) for _, _, logits in found][1:]

    def truth(self, frame: int) -> Shape:
        return Shape.mask(self.clip.mask(frame, 1))


def written(kind: str, mask: NDArray[np.bool_]) -> Shape | None:
    if not mask.any():
        return None
    if kind == "mask":
        return Shape.mask(mask)
    points = outline(mask) if kind == "polygon" else tight_box(mask)
    return Shape("polygon" if kind == "polygon" else "rectangle", tuple(map(float, points or ())))


def box(shape: Shape) -> Shape:
    left, top, right, bottom = shape.points[-4:]
    return Shape.rectangle(left, top, right + 1, bottom + 1)


@pytest.fixture(scope="module")
def predictor() -> Any:
    return build_predictor()


@pytest.fixture
def page(world: World, tmp_path: Path, predictor: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """An object leaves the picture, between frames 15 and 36, and comes back."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the agent: bits depend on it
    level = replace(DIFFICULTIES["easy"], targets=(1, 1), distractors=(0, 0), leave=1.0)
    clip = write_clip(tmp_path / "clip", 2_000_106, level, FRAMES)
    jpegs = [path.read_bytes() for path in sorted(clip.folder.iterdir())]
    task = world.cvat.add_task(jpegs, "ann", assignees=["robot"])
    function = Caller(world.cvat.url, world.robot.token).create_function(
        visibility="public", supported_shape_types=["mask", "polygon", "rectangle"]
    )
    agent = world.new_agent(FUNCTION_ID=str(function))
    agent.start()
    agent.wait_ready()
    with world.annotator() as annotator:
        yield Page(clip, task, function, annotator, agent, predictor, tmp_path)
    torch.set_num_threads(before)


JOURNEYS = {
    "skipping frames": [0, 3, 6, 9, 12],
    "backwards": [*range(7, 0, -1)],
    "out of order": [3, 9, 1, 10, 2, 4],
    "the same frame again": [2, 3, 3, 4, 3],
    "the frame of the prompt again": [5, 5, 6, 5],
    "up to the last frame": [47, 48, 49],
}
LONG_JOURNEYS = {
    "one after the other, past SAM2's window": [*range(20)],
    "back over the same frames, more than once": [*range(8), *range(7, 0, -1), *range(8)],
}


def test_every_way_through_the_frames_gives_sam2s_masks(page: Page) -> None:
    for name, frames in (JOURNEYS | LONG_JOURNEYS if FULL else JOURNEYS).items():
        drawn = page.truth(frames[0])
        found = page.follow(page.begin(frames[0], drawn, box(drawn)), frames[1:])
        expected = [page.reference(frames, drawn), page.reference(frames, box(drawn))]
        verdict = judge([list(shapes) for shapes in zip(*expected, strict=True)], found)
        assert fault_table.add(f"tracking {name}", verdict).clean, name


def test_a_lost_object_comes_back_as_with_sam2(page: Page) -> None:
    frames = [10, 12, 14, 16, 22, 28, 34, 38, 40, 42, 44, 46]
    found = [shapes[0] for shapes in page.follow(page.begin(10, page.truth(10)), frames[1:])]
    assert found == page.reference(frames, page.truth(10))
    assert None in found
    assert found[-1] is not None


def test_objects_of_all_types_that_began_on_different_frames_go_on_in_one_request(page: Page) -> None:
    """Each as if it were alone: the first on frame 0, others later, one of them on a frame passed by."""
    mask, frames = page.truth(0), [*range(1, 6)]
    polygon_mask = page.clip.mask(5, 1)
    polygon = Shape("polygon", tuple(outline(polygon_mask) or ()))
    early = page.begin(0, mask)
    for frame in frames:
        early, _ = page.go(early, frame)
    states = [
        *early,
        *page.begin(5, polygon),
        *page.begin(8, box(page.truth(8))),
        *page.begin(6, page.truth(6)),
    ]
    found = page.follow(states, [6, 9, 10])
    assert [shape and shape.type for shape in found[0]] == ["mask", "polygon", "rectangle", "mask"]
    expected = [
        page.reference([0, *frames, 6, 9, 10], mask)[5:],
        page.reference([5, 6, 9, 10], polygon),
        page.reference([8, 6, 9, 10], box(page.truth(8))),
        page.reference([6, 6, 9, 10], page.truth(6)),
    ]
    assert found == [list(shapes) for shapes in zip(*expected, strict=True)]


def test_going_back_and_running_again_gives_the_same_and_computes_nothing(page: Page) -> None:
    states = [page.begin(0, page.truth(0))]
    found = []
    for frame in range(1, 8):
        state, shapes = page.go(states[-1], frame)
        states.append(state)
        found.append(shapes)
    computed = 1 + 7 + 1  # the prompt's, those asked for, and one ahead
    wait_for(
        lambda: page.agent.metric("sam2_agent_steps_computed_total") == computed or None, "the step ahead"
    )
    for frame in (3, 4, 5, 6, 7, 2, 6):
        assert page.go(states[frame - 1], frame) == (states[frame], found[frame - 1])
    assert page.agent.metric("sam2_agent_steps_computed_total") == computed


def test_a_corrected_shape_begins_anew_and_leaves_the_old_track_as_it_was(page: Page) -> None:
    states = [page.begin(0, page.truth(0))]
    old = []
    for frame in range(1, 10):
        state, shapes = page.go(states[-1], frame)
        states.append(state)
        old.append(shapes)
    corrected = Shape.rectangle(20, 20, 70, 60)
    new = page.follow(page.begin(5, corrected), range(6, 10))
    assert [shapes[0] for shapes in new] == page.reference(range(5, 10), corrected)
    assert new != old[5:]
    assert page.follow(states[5], range(6, 10)) == old[5:]


def test_deleted_frames_are_passed_over_as_if_they_were_not_there(page: Page, world: World) -> None:
    ann = Caller(world.cvat.url, world.ann.token)
    assert ann("PATCH", f"/api/tasks/{page.task}/data/meta", {"deleted_frames": [3, 4, 9]}).status == 200
    drawn = page.truth(0)
    track = page.annotator.track(page.function, page.task, [drawn], start=0, stop=11)
    frames = [0, 1, 2, 5, 6, 7, 8, 10, 11]
    assert [tracked.frame for tracked in track.frames] == frames
    assert [tracked.shapes[0] for tracked in track.frames[1:]] == page.reference(frames, drawn)


def test_a_frame_deleted_after_it_was_tracked_stays_part_of_the_track(world: World) -> None:
    """Even where the track has to be computed again: CVAT still has the frame."""
    world.new_toy().start().wait_ready()
    expected = world.track(stop=8)
    states = world.begin()
    for frame in range(1, 8):
        states = world.run(type="track", frame=frame, states=states)["states"]
    ann = Caller(world.cvat.url, world.ann.token)
    assert ann("PATCH", f"/api/tasks/{world.task}/data/meta", {"deleted_frames": [4]}).status == 200
    with world.redis.client() as client:
        client.flushall()
    world.new_toy(holder="pod-b").start()  # takes over: the flush took the lease too
    answer = world.run(type="track", frame=8, states=states)
    assert tuple(shape and Shape.from_json(shape) for shape in answer["shapes"]) == expected[7]


def test_a_task_of_one_frame(world: World) -> None:
    task = world.cvat.add_task([picture(0)], "ann", assignees=["robot"])
    world.new_toy().start().wait_ready()
    with world.annotator() as annotator:
        track = annotator.track(world.function, task, drawn_shapes(), start=0, stop=0)
        assert len(track.frames) == 1
        begun = {
            "task": task,
            "type": "init_tracking",
            "frame": 0,
            "shapes": [Shape.mask(disk_bitmap(0)).to_json()],
        }
        states = annotator.run(world.function, begun)["states"]
        assert annotator.run(world.function, {"task": task, "type": "track", "frame": 0, "states": states})


def test_a_job_in_the_middle_of_a_task_is_tracked_like_the_whole_task(world: World) -> None:
    jobs = world.cvat.add_task([picture(f) for f in range(LENGTH)], "ann", assignees=["robot"], job_size=8)
    world.new_toy().start().wait_ready()
    job = Caller(world.cvat.url, world.ann.token)("GET", f"/api/jobs?task_id={jobs}").json()["results"][1]
    start, stop = job["start_frame"], job["stop_frame"]
    with world.annotator() as annotator:
        whole = annotator.track(world.function, world.task, drawn_shapes(), start=start, stop=stop)
        part = annotator.track(world.function, jobs, drawn_shapes(), start=start, stop=stop, job_id=job["id"])
    assert [frame.frame for frame in part.frames] == [*range(8, 16)]
    assert [frame.shapes for frame in part.frames] == [frame.shapes for frame in whole.frames]


def test_frames_of_another_size_end_only_the_tracks_that_meet_them(world: World) -> None:
    """Two videos in one task: each can be tracked, and nothing across the border."""
    small = [picture(frame)[: HEIGHT - 20, : WIDTH - 20] for frame in range(4)]
    task = world.cvat.add_task([*(picture(frame) for frame in range(4)), *small], "ann", assignees=["robot"])
    world.new_toy().start().wait_ready()
    shape = Shape.mask(disk_bitmap(0)[: HEIGHT - 20, : WIDTH - 20])
    with world.annotator() as annotator:
        assert len(annotator.track(world.function, task, [shape], start=0, stop=3).frames) == 4
        assert len(annotator.track(world.function, task, [shape], start=4, stop=7).frames) == 4
        with pytest.raises(RunError, match="all frames of a track must have the same size"):
            annotator.track(world.function, task, [shape], start=0, stop=5)


def test_a_task_deleted_in_mid_track_ends_that_track_with_a_sentence(world: World) -> None:
    task = world.cvat.add_task([picture(frame) for frame in range(6)], "ann", assignees=["robot"])
    world.new_toy().start().wait_ready()
    expected = world.track(stop=3)
    ann = Caller(world.cvat.url, world.ann.token)
    begun = {"type": "init_tracking", "task": task, "frame": 0, "shapes": [drawn_shapes()[0].to_json()]}
    with world.annotator() as annotator:
        states = annotator.run(world.function, begun)["states"]
        assert ann("DELETE", f"/api/tasks/{task}").status == 204
        world.cvat.submit(
            world.function, {"type": "track", "task": task, "frame": 5, "states": states}, "ann"
        )
    sentence = world.cvat.wait_for_request(world.function, "failed").exc_info
    assert sentence.startswith('The account "robot" of the tracking agent finds no frame 5 of task')
    assert world.track(stop=3) == expected
