"""A scripted annotator of a CVAT without agents: the page sends one frame after the other to a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.cvat_standin.annotator import TrackedFrame
from tests.cvat_standin.page import RunError
from tests.cvat_standin.serverless.manager import LambdaManager
from tests.cvat_standin.shapes import Shape

PASSING = (503, 504)
"""What a page or a proxy before it may send again: nobody answered."""


@dataclass(frozen=True, slots=True)
class Track:
    """The frames of an action in order; the first has the shapes that the annotator drew."""

    function: str
    frames: tuple[TrackedFrame, ...]
    complaints: tuple[str, ...]
    """Sentences that came before a call that worked."""


class Annotator:
    """Somebody at the page. A call that nobody answered is sent again, at most `retries` times.

    With `insistent` also one that the function refused, as a person does who presses the button again.
    """

    def __init__(
        self,
        manager: LambdaManager,
        *,
        retries: int = 0,
        insistent: bool = False,
        pause: Callable[[], None] = lambda: time.sleep(0.05),
    ) -> None:
        self._manager = manager
        self._retries = retries
        self._insistent = insistent
        self._pause = pause

    def track(
        self,
        function: str,
        images: Sequence[bytes],
        shapes: Sequence[Shape],
        *,
        start: int,
        stop: int,
        on_frame: Callable[[TrackedFrame], None] = lambda _frame: None,
    ) -> Track:
        """Track the shapes of frame `start` to frame `stop`, inclusive; `images` are encoded, by frame.

        Raises `RunError` with the sentence that the page shows.
        """
        complaints: list[str] = []
        began = time.perf_counter()
        drawn = [shape.to_json() for shape in shapes]
        states = self._call(function, images[start], complaints, shapes=drawn)["states"]
        frames = [TrackedFrame(start, tuple(shapes), _milliseconds_since(began))]
        on_frame(frames[-1])
        for frame in range(start + 1, stop + 1):
            began = time.perf_counter()
            answer = self._call(function, images[frame], complaints, states=states)
            states = answer["states"]
            found = tuple(shape and Shape.from_json(shape) for shape in answer["shapes"])
            frames.append(TrackedFrame(frame, found, _milliseconds_since(began)))
            on_frame(frames[-1])
        return Track(function, tuple(frames), tuple(complaints))

    def _call(self, function: str, image: bytes, complaints: list[str], **asked: Any) -> dict[str, Any]:
        left = self._retries
        while True:
            try:
                return self._manager.call(function, image, **asked)
            except RunError as error:
                if not left or not (self._insistent or error.status in PASSING):
                    raise
                complaints.append(str(error))
                left -= 1
                self._pause()


def _milliseconds_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)
