"""State strings: what CVAT keeps of a track between two requests.

A state string tells how the track began and which frames were tracked since, in order; nothing of what the
model computed.  So it is small, and whoever holds it can have the track computed anew.  It comes back from a
browser and is untrusted: it must be, byte for byte, what this module would write.

The name of a step is the digest of the whole string up to that step and of the model's fingerprint.  Whoever
edits a string names other steps, never someone else's: the nonce in it is random.  What an edited string can
do is to begin a track of its own.

Could somebody read with a string what CVAT does not let them see?  CVAT lets only those run the function on a
task who may see it, and a request names that task.  A string for any other task is refused, so the agent's
account, which may see more, reads no frame for a caller outside of that task; and all that a caller gets of a
frame are shapes on it.  Within the task any frame may be named: also one outside the caller's job, as CVAT
gives out whole tasks.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sam2_agent.core.masks import MAX_PIXELS, MAX_SIDE, decode_mask, encode_mask
from sam2_agent.core.tracking import BoxPrompt, MaskPrompt, Prompt, ShapeType
from sam2_agent.errors import InvalidShape, RequestRefused

PREFIX = "s2t1."
"""Begins every state string and carries the version of the format."""

MAX_CHARACTERS = 4_194_304
"""The longest state that CVAT takes."""

MAX_HEAD = 2**20
"""The longest beginning of a state: the mask of a prompt may have some 200,000 runs."""

MAX_TASK = 2**63 - 1
MAX_FRAME = 2**31 - 1
MAX_RANGES = 4096
MAX_STEPS = 100_000
_LONGEST = MAX_HEAD + MAX_RANGES * len(f"[{MAX_FRAME},{MAX_FRAME}],") + 100
WINDOW = 16
"""How many frames SAM2's object pointers reach back, its own included (`max_obj_ptrs_in_encoder`)."""

FrameNumber = Annotated[int, Field(ge=0, le=MAX_FRAME)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]


class State(BaseModel):
    """How a track began, and the frames tracked since.

    `frame` is the prompt's frame; `mask` (as CVAT writes masks: run lengths, then x1, y1, x2, y2) or `box`
    (x1, y1, x2, y2) is the prompt.  `tracked` holds the frames since, as first and last of each rising run; a
    step back or a skipped frame begins a new run.  `size` is width and height; `shape` the type that answers
    have.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    frame: FrameNumber
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    shape: ShapeType
    size: tuple[Side, Side]
    task: Annotated[int, Field(ge=0, le=MAX_TASK)]
    window: Annotated[int, Field(ge=1, le=WINDOW)]
    mask: tuple[Annotated[int, Field(ge=0, le=MAX_PIXELS)], ...] | None = None
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    tracked: Annotated[tuple[tuple[FrameNumber, FrameNumber], ...], Field(max_length=MAX_RANGES)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mask is None) == (self.box is None):
            raise ValueError("one prompt")
        if self.box is not None and not _inside(self.box, self.size):
            raise ValueError("a box lies on the image")
        if any(first > last for first, last in self.tracked):
            raise ValueError("runs rise")
        if any(here[1] + 1 == after[0] for here, after in pairwise(self.tracked)):
            raise ValueError("runs that meet are one run")
        if self.length > MAX_STEPS:
            raise ValueError("too many frames")
        return self

    @property
    def length(self) -> int:
        """How many frames were tracked since the prompt's."""
        return sum(last - first + 1 for first, last in self.tracked)

    @property
    def highest_frame(self) -> int:
        """The highest frame number that the track has to do with."""
        return max([self.frame, *(last for _, last in self.tracked)])

    @property
    def newest_frame(self) -> int:
        """The frame that was tracked last, or the prompt's."""
        return self.tracked[-1][1] if self.tracked else self.frame

    @property
    def way(self) -> Literal[1, -1]:
        """Whether the last step went forward or back."""
        if not self.tracked or self.tracked[-1][0] < self.tracked[-1][1]:
            return 1
        before = self.tracked[-2][1] if len(self.tracked) > 1 else self.frame
        return -1 if self.tracked[-1][1] < before else 1

    def extended(self, frame: int) -> State:
        """Return the state after one more tracked frame."""
        if self.length >= MAX_STEPS or len(self.tracked) >= MAX_RANGES:
            raise RequestRefused(
                "This track is too long to go on; start tracking again from the current frame."
            )
        if self.tracked and self.tracked[-1][1] + 1 == frame:
            runs = (*self.tracked[:-1], (self.tracked[-1][0], frame))
        else:
            runs = (*self.tracked, (frame, frame))
        return self.model_copy(update={"tracked": runs})

    def prompt(self) -> Prompt:
        """Return what the model begins with; raises `InvalidShape` where the numbers do not fit the size."""
        if self.box is not None:
            return BoxPrompt(self.box)
        mask = decode_mask(self.mask or (), self.size)
        if not mask.any():
            raise InvalidShape("A tracking state begins with an empty mask; start tracking again.")
        return MaskPrompt(mask)

    @cached_property
    def head(self) -> str:
        """All but the tracked frames: equal for every step of a track."""
        fields = self.model_dump(mode="json", exclude={"tracked"}, exclude_none=True)
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).removesuffix("}")

    def canonical(self) -> str:
        """Write the state string."""
        return PREFIX + self.head + _tail(self.tracked)


def begin(
    *, task: int, frame: int, size: tuple[int, int], shape: ShapeType, prompt: Prompt, window: int, nonce: int
) -> State:
    """Return the state of a new track; `nonce` is 128 random bits.

    Raises `InvalidShape` where the prompt has too many details for a state.
    """
    begun = State(
        frame=frame,
        nonce=f"{nonce:032x}",
        shape=shape,
        size=size,
        task=task,
        window=window,
        mask=tuple(encode_mask(prompt.mask) or ()) if isinstance(prompt, MaskPrompt) else None,
        box=prompt.box if isinstance(prompt, BoxPrompt) else None,
    )
    if len(begun.head) > MAX_HEAD:
        raise InvalidShape(f"A {shape} has too many details to be tracked; draw it more simply.")
    return begun


def parse(text: str) -> State:
    """Read a state string; raises `RequestRefused` for anything that `State.canonical` did not write."""
    refused = RequestRefused("A tracking state is not one that this function wrote; start tracking again.")
    if len(text) > _LONGEST or not text.startswith(PREFIX):
        raise refused
    try:
        state = State.model_validate_json(text.removeprefix(PREFIX))
    except ValidationError as error:
        raise refused from error
    if state.canonical() != text:
        raise refused
    return state


class Steps:
    """The steps of one track by index: 0 is the prompt, k the k-th frame tracked since."""

    def __init__(self, state: State, fingerprint: str) -> None:
        self.state = state
        # Digests of all that stands before each run: a name costs the same wherever in the track its step is.
        self._before = [hashlib.sha256(f'{fingerprint}\n{PREFIX}{state.head},"tracked":['.encode())]
        for first, last in state.tracked[:-1]:
            self._before.append(self._before[-1].copy())
            self._before[-1].update(f"[{first},{last}],".encode())
        self._ends = list(accumulate(last - first + 1 for first, last in state.tracked))
        self._names: dict[int, str] = {}

    @property
    def last(self) -> int:
        """The index of the newest step."""
        return self._ends[-1] if self._ends else 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the track's frames."""
        return self.state.size

    @property
    def shape(self) -> ShapeType:
        """The type of the shapes that answers have."""
        return self.state.shape

    @property
    def window(self) -> int:
        """See `tracking.Context`."""
        return self.state.window

    def prompt(self) -> Prompt:
        """Return what the model begins with; raises `InvalidShape` where the numbers do not fit the size."""
        return self.state.prompt()

    def link(self, _index: int) -> None:
        """Nothing: a state string tells all."""

    def picture(self, index: int) -> tuple[int, int]:
        """Task and frame number of what the step reads."""
        return self.state.task, self.frame(index)

    def picture_told(self, index: int) -> str:
        """Return how the annotator knows it."""
        return f"Frame {self.frame(index)}"

    def frame(self, index: int) -> int:
        """The task's frame number that the step reads."""
        if index == 0:
            return self.state.frame
        run = bisect_right(self._ends, index - 1)
        return self.state.tracked[run][1] - (self._ends[run] - index)

    def name(self, index: int) -> str:
        """Under this name the step is remembered: 64 hexadecimal digits."""
        if (name := self._names.get(index)) is None:
            name = self._names[index] = self._digest(index)
        return name

    def _digest(self, index: int) -> str:
        if index == 0:
            run, rest = 0, "]}"
        else:
            run = bisect_right(self._ends, index - 1)
            rest = f"[{self.state.tracked[run][0]},{self.frame(index)}]]}}"
        digest = self._before[run].copy()
        digest.update(rest.encode())
        return digest.hexdigest()


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    return 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]


def _tail(tracked: tuple[tuple[int, int], ...]) -> str:
    return f',"tracked":{json.dumps(tracked, separators=(",", ":"))}}}'
