"""The whole agent: what the annotator gets is what SAM2's own predictor gives, whoever tracked in between.

CVAT's stand-in serves the very JPEG files that the reference reads; Redis is real.  The annotator draws a
mask, a polygon and a rectangle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_agent.adapters.sam2_build import BuiltModel
from sam2_agent.adapters.sam2_frames import EncodedFrame
from sam2_agent.adapters.sam2_tracker import Sam2Output, Sam2Tracker
from sam2_agent.core.polygons import rasterize
from sam2_agent.core.shapes import write_points
from sam2_agent.core.tracking import Context, Features, MaskPrompt, Prompt
from tests import fault_table
from tests.cvat_standin.annotator import Annotator, Shape, TrackedFrame
from tests.cvat_standin.client import CVAT, Account
from tests.cvat_standin.fixtures import cvat
from tests.fidelity.clips import Clip, crowd, write_clip, write_footage
from tests.fidelity.tracks import Logits, box_prompt, mask_prompt, propagate, same_bits
from tests.integration.agent.agent_process import PREFIX, AgentProcess
from tests.integration.agent.in_process import InProcessAgent
from tests.integration.cvat_standin.caller import Caller
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.slow

__all__ = ["cvat", "redis_server"]

Shapes: TypeAlias = tuple[Shape | None, ...]

NUM_FRAMES = 20
START = 2
"""The annotator draws on this frame of the task."""


class Witness(Sam2Tracker):
    """A tracker that notes the logits of all that it computes: of each object, and on which frame."""

    def __init__(self, model: BuiltModel, seen: list[tuple[int, Logits]]) -> None:
        super().__init__(model, "float32")
        self._seen = seen

    def prompt(self, features: Features, prompts: Sequence[Prompt]) -> list[Sam2Output]:
        return self._noted(START, super().prompt(features, prompts))

    def step(self, features: Features, contexts: Sequence[Context]) -> list[Sam2Output]:
        assert isinstance(features, EncodedFrame)
        return self._noted(START + contexts[0].index, super().step(features, contexts))

    def _noted(self, frame: int, outputs: list[Sam2Output]) -> list[Sam2Output]:
        self._seen += [(frame, self.logits(output)) for output in outputs]
        return outputs


@dataclass(frozen=True, slots=True)
class World:
    """Ann's task holds a clip; the account `robot` serves the function that she uses."""

    clip: Clip
    cvat: CVAT
    redis: RedisServer
    ann: Account
    task: int
    function: int
    credentials: Path

    def prompts(self) -> list[Prompt]:
        """What Ann draws, as SAM2 takes it."""
        height, width = self.clip.frames.shape[1:3]
        outline = MaskPrompt(rasterize(self._outline(), (width, height)))
        return [mask_prompt(self.clip, 1, START), outline, box_prompt(self.clip, 3, START)]

    def track(self, on_frame: Callable[[TrackedFrame], None]) -> list[Shapes]:
        """Let Ann track to the clip's end; return what each frame after the first got."""
        outline = self._outline()
        shapes = [
            Shape.mask(self.clip.mask(START, 1)),
            Shape.polygon(*zip(outline[::2], outline[1::2], strict=True)),
            Shape.rectangle(*box_prompt(self.clip, 3, START).box),
        ]
        with Annotator(self.cvat.url, self.ann.username, self.ann.password) as annotator:
            track = annotator.track(
                self.function, self.task, shapes, start=START, stop=NUM_FRAMES - 1, on_frame=on_frame
            )
        return [frame.shapes for frame in track.frames[1:]]

    def _outline(self) -> list[float]:
        outline = write_points("polygon", self.clip.mask(START, 2))
        assert outline is not None
        return outline


@pytest.fixture(params=["synthetic", "real footage"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Clip:
    if request.param == "synthetic":
        return write_clip(tmp_path / "clip", 2_000_005, crowd(3), NUM_FRAMES)
    return write_footage(tmp_path / "clip", NUM_FRAMES)


@pytest.fixture
def world(clip: Clip, cvat: CVAT, redis_server: RedisServer, tmp_path: Path) -> World:
    ann, robot = cvat.add_user("ann"), cvat.add_user("robot")
    jpegs = [path.read_bytes() for path in sorted(clip.folder.iterdir())]
    task = cvat.add_task(jpegs, "ann", assignees=["robot"])
    function = Caller(cvat.url, robot.token).create_function(
        visibility="public", supported_shape_types=["mask", "polygon", "rectangle"]
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text(robot.token)
    return World(clip, cvat, redis_server, ann, task, function, credentials)


class Succession:
    """Agents in this process, one after the other, each with nothing but what is in Redis."""

    def __init__(self, world: World, model: BuiltModel) -> None:
        self.seen: list[tuple[int, Logits]] = []
        self._world = world
        self._model = model
        self._agent: InProcessAgent | None = None

    def replace(self) -> None:
        """Stop the agent, if there is one, and start the next."""
        self.stop()
        self._agent = InProcessAgent(
            cvat_url=self._world.cvat.url,
            credentials=self._world.credentials,
            function=self._world.function,
            redis_url=self._world.redis.url,
            tracker=cast("Any", Witness(self._model, self.seen)),
        ).start()

    def stop(self) -> None:
        if self._agent:
            self._agent.stop()
            self._agent = None


@pytest.fixture
def succession(world: World, model: BuiltModel) -> Iterator[Succession]:
    agents = Succession(world, model)
    yield agents
    agents.stop()


def test_a_new_agent_for_every_frame_gives_the_bits_of_sam2(
    world: World, predictor: Any, succession: Succession
) -> None:
    succession.replace()
    got = world.track(lambda _frame: succession.replace())

    reference = propagate(predictor, world.clip, world.prompts(), START)
    assert fault_table.add("agent restarted after every frame", judge(reference, got)).clean
    _require_same_bits(succession.seen, reference)


def test_what_is_computed_again_has_the_bits_of_sam2(
    world: World, predictor: Any, succession: Succession
) -> None:
    def lose(tracked: TrackedFrame) -> None:
        """The next agent finds no memory, later on nothing at all but the browser's state."""
        if tracked.frame in (9, 16):
            succession.stop()
            with world.redis.client() as redis:
                kinds = "memory" if tracked.frame == 9 else ""
                redis.delete(*redis.scan_iter(f"{PREFIX}{kinds}*"))
            succession.replace()

    succession.replace()
    got = world.track(lose)

    reference = propagate(predictor, world.clip, world.prompts(), START)
    verdict = judge(reference, got).model_copy(update={"tried": 2})
    assert fault_table.add("memories, then all records lost between two frames", verdict).clean
    assert len(succession.seen) > 3 * NUM_FRAMES, "some of it twice"
    _require_same_bits(succession.seen, reference)


def test_a_killed_process_gives_the_masks_of_sam2(
    world: World, predictor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the reference has
    agents: list[AgentProcess] = []

    def replace(tracked: TrackedFrame | None = None) -> None:
        if tracked is None or tracked.frame in (8, 15):
            for agent in agents:
                agent.kill()
            settings = {
                "CVAT_URL": world.cvat.url,
                "CVAT_CREDENTIALS_DIR": str(world.credentials),
                "FUNCTION_ID": str(world.function),
                "REDIS_URL": world.redis.url,
                "HOLDER": "the-pod",
            }
            agents.append(AgentProcess(tmp_path / f"agent-{len(agents)}", settings))
            agents[-1].start()

    try:
        replace()
        got = world.track(replace)
    finally:
        for agent in agents:
            agent.kill()

    reference = propagate(predictor, world.clip, world.prompts(), START)
    verdict = judge(reference, got).model_copy(update={"tried": 2})
    assert fault_table.add("agent killed between two frames", verdict).clean
    assert len(agents) == 3


def judge(reference: Sequence[Sequence[Logits]], got: Sequence[Shapes]) -> fault_table.Verdict:
    """Compare what Ann got with the thresholded logits of SAM2, as the shapes that she drew."""
    expected = [
        (_mask(frame[0] > 0), _polygon(frame[1] > 0), _rectangle(frame[2] > 0))
        for frame in list(zip(*reference, strict=True))[1:]
    ]
    assert any(shape is not None for shapes in expected for shape in shapes)
    return fault_table.judge(expected, got)


def _mask(found: NDArray[np.bool_]) -> Shape | None:
    return Shape.mask(found) if found.any() else None


def _polygon(found: NDArray[np.bool_]) -> Shape | None:
    points = write_points("polygon", found)
    return None if points is None else Shape("polygon", tuple(points))


def _rectangle(found: NDArray[np.bool_]) -> Shape | None:
    rows, columns = found.nonzero()
    if not rows.size:
        return None
    return Shape.rectangle(float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0)


def _require_same_bits(seen: Sequence[tuple[int, Logits]], reference: Sequence[Sequence[Logits]]) -> None:
    """Of every object on every frame, and nothing else, however often it was computed."""
    found = set()
    for frame, logits in seen:
        objects = [
            place for place, each in enumerate(reference) if same_bits([logits], [each[frame - START]])
        ]
        assert objects, f"frame {frame}"
        found.add((frame, *objects))
    assert found == {(frame, place) for frame in range(START, NUM_FRAMES) for place in range(len(reference))}
