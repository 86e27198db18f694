"""The synthetic videos are those that the small model was trained and measured with."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tests.tiny_sam2.synthetic_video import DIFFICULTIES, make_video


@pytest.mark.parametrize(
    ("level", "digest"),
    [
        ("easy", "1ad37a34a885dc97"),
        ("medium", "4c713d2e51109cbb"),
        ("hard", "45220dccd19e88ba"),
        ("extreme", "e9e16f7135f59f6e"),
    ],
)
def test_a_seed_gives_the_same_bytes_for_ever(level: str, digest: str) -> None:
    video = make_video(7, level, 6, (120, 90))

    assert hashlib.sha256(video.frames.tobytes() + video.labels.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("level", DIFFICULTIES)
def test_every_target_shows_on_the_first_frame(level: str) -> None:
    for seed in range(5):
        video = make_video(seed, level, 30, (80, 60))
        assert set(np.unique(video.labels[0])) == set(range(video.num_objects + 1))
        assert min(int(video.mask(0, obj).sum()) for obj in range(1, video.num_objects + 1)) >= 48
