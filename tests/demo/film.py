"""The pictures in their order: the clip, with a pause wherever something happened."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.demo.clips import Clip
from tests.demo.picture import AMBER, GREEN, RED, Banner, Mark, Timeline, paint
from tests.demo.session import Outage, Session
from tests.demo.shapes import Bitmap

FRAMES_PER_SECOND = 12
_BRIEFLY, _LONG = 11, 20
"""Pictures that a pause lasts."""


def film(session: Session, curves: NDArray[np.float64] | None, *, closing: str) -> Iterator[Image.Image]:
    """Every picture of the film; `curves` as in `picture.Timeline`, `closing` is said at its end."""
    clip, masks, found = session.clip, session.masks(), session.first_masks()
    outages = {outage.frame: outage for outage in session.outages}
    marks = [Mark(outage.frame, outage.name, RED) for outage in session.outages]
    if clip.correction:
        marks.append(Mark(clip.correction.frame, "corrected", AMBER))
    timeline = Timeline(tuple(target.name for target in clip.targets), len(clip.jpegs), tuple(marks), curves)

    def picture(frame: int, shown: Bitmap | None, banner: Banner | None) -> Image.Image:
        return paint(clip.frames[frame], [] if shown is None else list(shown), frame, timeline, banner)

    for frame in range(len(clip.jpegs)):
        shown = masks[:, frame]
        if frame == 0:
            yield from [picture(frame, shown, Banner(_opening(clip), AMBER))] * _LONG
        elif outage := outages.get(frame):
            yield from _outage(outage, picture(frame, None, Banner(outage.what, RED, alarm=True)),
                               picture(frame, shown, Banner(_answered(outage), GREEN)))  # fmt: skip
        elif clip.correction and frame == clip.correction.frame:
            name = clip.targets[clip.correction.target].name
            yield from [
                picture(frame, found[:, frame], Banner(f"the annotator sees: the {name} is off", AMBER))
            ] * _BRIEFLY
            yield from [
                picture(frame, shown, Banner("corrects it and runs again from here", AMBER))
            ] * _BRIEFLY
        else:
            yield picture(frame, shown, None)
    last = len(clip.jpegs) - 1
    yield from [picture(last, masks[:, last], Banner(closing, GREEN))] * (2 * _LONG)


def _opening(clip: Clip) -> str:
    drawn = [f"a {target.shape_type}" for target in clip.targets]
    return "the annotator draws " + " and ".join([", ".join(drawn[:-1]), drawn[-1]] if drawn[1:] else drawn)


def _answered(outage: Outage) -> str:
    return f"the answer came {outage.seconds:.1f} s later"


def _outage(outage: Outage, dark: Image.Image, back: Image.Image) -> Iterator[Image.Image]:
    yield from [dark] * _LONG
    yield from [back] * _BRIEFLY
