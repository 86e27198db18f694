"""The demo's pictures and table, of a small session made by hand."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.cvat_standin.annotator import Shape, TrackedFrame
from tests.demo.clips import Clip, synthetic
from tests.demo.encode import write_gif, write_mp4
from tests.demo.film import film
from tests.demo.session import Outage, Session, drawn
from tests.demo.table import table
from tests.demo.verdict import Verdict, iou_curves

pytestmark = pytest.mark.slow

FRAMES = 8


@pytest.fixture(scope="module")
def clip() -> Clip:
    return synthetic(FRAMES)


@pytest.fixture(scope="module")
def session(clip: Clip) -> Session:
    """What a perfect tracker would give, with one outage."""
    assert clip.truth is not None
    assert clip.correction is not None
    everything = range(len(clip.targets))
    tracks = (
        track(clip, clip.truth, 0, list(everything)),
        track(clip, clip.truth, clip.correction.frame, [clip.correction.target]),
    )
    return Session(clip, tracks, (Outage("SIGKILL", "SIGKILL in a request", 2, 3.4),))


def track(clip: Clip, masks: np.ndarray, start: int, targets: list[int]) -> tuple[TrackedFrame, ...]:
    def shapes(frame: int) -> tuple[Shape, ...]:
        return tuple(drawn(clip.targets[target], masks[target, frame]) for target in targets)

    return tuple(TrackedFrame(frame, shapes(frame), 50.0) for frame in range(start, FRAMES))


def test_a_film_pauses_where_something_happened(session: Session, tmp_path: Path) -> None:
    pictures = list(film(session, iou_curves(session.clip, session.masks()), closing="done"))
    assert len(pictures) > 2 * FRAMES
    reds = [np.asarray(picture)[0, 0, 0] for picture in pictures]
    assert max(reds) > 200, "the border glows at the outage"
    write_gif(pictures, tmp_path / "film.gif", 12)
    write_mp4(pictures, tmp_path / "film.mp4", 12)
    with Image.open(tmp_path / "film.gif") as gif:
        shown = sum(1 for _ in ImageSequence.Iterator(gif))
        assert shown == pytest.approx(len(pictures), abs=2)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "film.mp4"))
    assert next(reader)["size"] == pictures[0].size


def test_the_table_says_yes_and_nothing_is_complained_about(session: Session) -> None:
    curves = iou_curves(session.clip, session.masks())
    good = Verdict(session, session, curves, curves, functions=1, agents=frozenset({"a"}))
    assert good.complaints() == []
    assert "identical to a run without a kill │ yes" in table(good)


def test_another_shape_a_second_function_and_a_worse_mask_are_complained_about(session: Session) -> None:
    curves = iou_curves(session.clip, session.masks())
    first, *others = session.tracks[0]
    changed = TrackedFrame(others[0].frame, (None, *others[0].shapes[1:]), 50.0)
    other = Session(session.clip, ((first, changed, *others[1:]), session.tracks[1]), session.outages)
    bad = Verdict(other, session, curves - 0.1, curves, functions=2, agents=frozenset({"a", "b"}))
    assert len(bad.complaints()) == 1 + len(session.clip.targets) + 2
    assert "identical to a run without a kill │ no" in table(bad)
