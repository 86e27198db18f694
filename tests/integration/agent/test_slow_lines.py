"""Frames over slow, silent and endless lines; only silence ends a call early."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_agent.adapters import cvat_replies
from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_frames import CVATFrames
from sam2_agent.errors import CVATUnavailable, RequestRefused
from tests.cvat_standin.client import CVAT

FRAME = "GET /api/tasks/{id}/data/"
META = "GET /api/tasks/{id}/data/meta"
SILENCE = 0.5
PICTURE = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)


@pytest.fixture
def frames(cvat: CVAT, tmp_path: Path) -> CVATFrames:
    (tmp_path / "token").write_text(cvat.add_user("robot").token)
    client = CVATClient(
        cvat.url,
        credentials_dir=tmp_path,
        organization="",
        ca_file=None,
        on_answer=lambda: None,
        silence=SILENCE,
    )
    return CVATFrames(client)


async def test_a_frame_on_a_slow_line_arrives(cvat: CVAT, frames: CVATFrames) -> None:
    task = cvat.add_task([PICTURE], "robot")
    cvat.faults.trickle(FRAME, pieces=12, seconds=SILENCE / 8)
    assert np.array_equal(await frames.image(task, 0, np.array), PICTURE)
    [entry] = cvat.log(FRAME)
    assert (entry.milliseconds or 0) > 1000 * SILENCE, "in all longer than the silence that is borne"


async def test_a_silent_line_is_given_up(cvat: CVAT, frames: CVATFrames) -> None:
    task = cvat.add_task([PICTURE], "robot")
    cvat.faults.trickle(FRAME, pieces=2, seconds=3 * SILENCE)
    with pytest.raises(CVATUnavailable, match="does not answer as it should"):
        await frames.image(task, 0, np.array)


async def test_a_line_that_never_ends_is_given_up(
    cvat: CVAT, frames: CVATFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = cvat.add_task([PICTURE], "robot")
    monkeypatch.setattr(cvat_replies, "MAX_BODY_SECONDS", 0.3)
    cvat.faults.trickle(FRAME, pieces=50, seconds=0.05)
    with pytest.raises(CVATUnavailable, match="an answer took more than"):
        await frames.image(task, 0, np.array)


async def test_a_frame_that_is_too_large_is_refused(
    cvat: CVAT, frames: CVATFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = cvat.add_task([PICTURE], "robot")
    monkeypatch.setattr(cvat_replies, "MAX_BODY_BYTES", 1000)
    with pytest.raises(RequestRefused, match=f"CVAT's answer about frame 0 of task {task} is too large"):
        await frames.image(task, 0, np.array)


async def test_a_frame_beyond_the_known_count_is_asked_for_once_more(cvat: CVAT, frames: CVATFrames) -> None:
    task = cvat.add_task([PICTURE] * 2, "robot")
    for frame in (0, 1, 0):
        assert await frames.count(task, frame) == 2
    assert cvat.count(META) == 1
    with pytest.raises(RequestRefused, match="has no frame 2; its last is 1"):
        await frames.count(task, 2)
    assert cvat.count(META) == 2
