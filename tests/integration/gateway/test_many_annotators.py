"""Several annotators at once, each with many objects on large frames: all are served, in bounded memory.

With `SAM2_TEST_FULL=1` eight of them with 32 objects each on frames of 3840x2160 pixels, which takes minutes.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.cvat_standin.serverless import Annotator, Dashboard, LambdaManager
from tests.cvat_standin.serverless.annotator import Track
from tests.cvat_standin.shapes import Shape
from tests.integration.agent.agent_process import AgentProcess
from tests.integration.gateway.conftest import Start
from tests.integration.gateway.process import OF_THE_PROCESS
from tests.samples import FULL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ANNOTATORS = 8
OBJECTS = 32 if FULL else 6
WIDTH, HEIGHT = (3840, 2160) if FULL else (1280, 720)
FRAMES = 3
PATIENCE_SECONDS = 1500.0
OF_THE_AGENT = 2**28
"""Memory that an agent with the small model may take more than when it is idle, besides what frames take."""
FRAME_BYTES = 3 * WIDTH * HEIGHT


def pictures(seed: int) -> list[bytes]:
    """Frames of an annotator: noise, of which nothing can be saved by compressing, as PNG."""
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(FRAMES):
        file = io.BytesIO()
        frame = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(frame).save(file, "PNG", compress_level=1)
        files.append(file.getvalue())
    return files


def shapes(seed: int) -> list[Shape]:
    """What an annotator draws: boxes all over the frame."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(OBJECTS):
        left, top = rng.integers(0, WIDTH // 2), rng.integers(0, HEIGHT // 2)
        bitmap = np.zeros((HEIGHT, WIDTH), np.bool_)
        bitmap[top : top + HEIGHT // 4, left : left + WIDTH // 4] = True
        drawn.append(Shape.mask(bitmap))
    return drawn


def test_all_are_served_in_bounded_memory(real_agent: tuple[AgentProcess, str], start: Start) -> None:
    agent, name = real_agent
    gateway = start()
    agent.start()
    agent.wait_ready()
    idle = agent.memory()

    def work(seed: int) -> Track:
        dashboard = Dashboard(f"http://127.0.0.1:{gateway.port}", seconds=PATIENCE_SECONDS)
        page = Annotator(LambdaManager(dashboard))
        return page.track(name, pictures(seed), shapes(seed), start=0, stop=FRAMES - 1)

    with ThreadPoolExecutor(ANNOTATORS) as annotators:
        tracks = list(annotators.map(work, range(ANNOTATORS)))
    grown, held = agent.memory() - idle, gateway.memory()
    assert [len(track.frames) for track in tracks] == [FRAMES] * ANNOTATORS
    assert all(len(frame.shapes) == OBJECTS for track in tracks for frame in track.frames)
    print(f"the agent took {grown >> 20} MiB more than idle, the gateway {held >> 20} MiB")
    assert grown < OF_THE_AGENT + 2 * ANNOTATORS * FRAME_BYTES + 2 * OBJECTS * FRAME_BYTES
    assert held < OF_THE_PROCESS + 2 * ANNOTATORS * FRAME_BYTES
