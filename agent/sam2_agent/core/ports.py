"""What the core needs of the world.

Adapters implement it; a simulation does so with virtual time and faults.

Whatever talks to CVAT or Redis may raise `Unavailable`, and may have taken effect all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from sam2_agent.core.requests import Assignment, Category

P = ParamSpec("P")
T = TypeVar("T")


class Clock(Protocol):
    """Time that never jumps."""

    def now(self) -> float:
        """Seconds since some moment; they pass also while the process is stopped."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class Compute(Protocol):
    """Runs what takes long apart from the event loop, one call at a time."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` and return what it returns."""


class Queue(Protocol):
    """The function's queue in CVAT."""

    async def watch(self, wake: Callable[[Category | None], None]) -> None:
        """Call `wake` for each event, with None where any category may have work, until the stream ends."""

    async def acquire(self, category: Category) -> Assignment | None:
        """Take the next request; CVAT may hand the same one to this agent id again."""

    async def complete(self, ar_id: str, answer: Mapping[str, JsonValue]) -> None:
        """Answer a request; raises `NotOurs`, or `AnswerRefused` where CVAT finds fault with the answer."""

    async def fail(self, ar_id: str, sentence: str) -> None:
        """End a request with a sentence for the annotator; raises `NotOurs`."""


class Frames(Protocol):
    """The frames of CVAT's tasks."""

    async def count(self, task: int, frame: int) -> int:
        """Return how many frames the task has; raises `RequestRefused` unless `frame` is one of them."""

    async def image(self, task: int, frame: int, read: Callable[[NDArray[np.uint8]], T]) -> T:
        """Return what `read` makes of a frame, RGB of shape (height, width, 3), apart from the event loop.

        Raises `RequestRefused` if there is no such frame, or no image.
        """

    def beside(self, task: int, frame: int, way: Literal[1, -1]) -> int | None:
        """Return the frame that an annotator sees after this one (`way` 1) or before it; None at the end.

        From what is known already of the task; may be wrong.
        """


@dataclass(frozen=True, slots=True)
class Taken:
    """The lease is this agent's."""

    token: str
    epoch: int


@dataclass(frozen=True, slots=True)
class HeldByAnother:
    """The lease is another agent's, for at most `left` seconds more."""

    left: float


Kind: TypeAlias = Literal["answer", "memory", "link", "init"]


@dataclass(frozen=True, slots=True)
class Key:
    """What a record is about: a step's name, or for an init the request's id."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A record to write if there is none, or an empty one; `damaged` are bytes that it may replace."""

    key: Key
    data: bytes
    damaged: bytes = b""


class Records(Protocol):
    """What is known of steps."""

    async def read(self, keys: Sequence[Key]) -> list[bytes | None]:
        """Return the records and let them live anew."""

    async def publish(self, token: str, publications: Sequence[Publication]) -> list[bytes]:
        """Write each record unless one stands, all or none, and return what stands now.

        Raises `LeaseLost`.
        """

    async def remember(
        self, records: Mapping[Key, bytes], used: Sequence[Key], gone: Sequence[str]
    ) -> list[Key]:
        """Write memories and links, let the records of `used` live anew, drop the memories of `gone`.

        Returns those of `used` that there are no more.
        Needs no lease and is not done in one piece: they are what any valid computation would write.
        """


class Store(Records, Protocol):
    """The tracker's part of Redis."""

    async def take(self, nonce: str, seconds: float) -> Taken | HeldByAnother:
        """Take the lease if it is free or this holder's own; `nonce` makes the token."""

    async def renew(self, token: str, seconds: float) -> int:
        """Let the lease live that long from now; return how many requests are recorded.

        Raises `LeaseLost`.
        """

    async def release(self, token: str) -> None:
        """Give the lease up, if it is still held with this token."""

    async def record(self, ar_id: str, data: bytes) -> None:
        """Record a request until it is answered; needs no lease."""

    async def recorded(self) -> dict[str, bytes]:
        """Return all recorded requests."""

    async def forget(self, ar_id: str) -> None:
        """Drop a recorded request."""

    async def forget_damaged(self, ar_id: str, data: bytes) -> None:
        """Drop a recorded request that is exactly these bytes, which cannot be read."""


class Events(Protocol):
    """What the core counts; nothing depends on it."""

    def computed(self, steps: int) -> None:
        """Steps came from the model."""

    def foreseen(self, steps: int) -> None:
        """Steps that were asked for had been computed before."""

    def reused(self, answers: int) -> None:
        """Answers that stood already were given again."""

    def restored(self, steps: int) -> None:
        """Steps are computed again because their records were missing."""

    def lost(self) -> None:
        """A call was refused, because records are missing that nobody can compute again."""

    def damaged(self, kind: Kind | Literal["request"]) -> None:
        """A record could not be read and counts as missing."""

    def memories_dropped(self, steps: int) -> None:
        """The memories of steps were not written; they would be computed again."""

    def request(self, kind: str, outcome: str, seconds: float) -> None:
        """A request ended for this agent."""

    def unavailable(self, reason: str) -> None:
        """CVAT or Redis did not do what it was asked."""
