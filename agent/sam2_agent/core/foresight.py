"""Working ahead: while an annotator's browser is busy, the frame that it will most likely ask for next.

    answer N ──► encode N+1 ──► step N+1 of every object ──► encode N+2         (in memory, in spare time)
    request N+1 ───────────────────────────────────────────► publish, complete

CVAT's page tracks frame by frame in one direction, so the guess is the frame beside the one just answered.  A
wrong guess costs what it computed and nothing else: what was foreseen is published only when it is asked for.
It builds on what was published, hence one step and no more.  The frame after that is fetched and encoded: an
annotator who asks without a pause finds the model at work on it while the answer before it is on its way.
It is fetched when the one before it is asked for, if there was no spare time until then: so a frame's way
from CVAT lies beside the model's work on another, and not in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sam2_agent.core.footage import Footage, Picture
from sam2_agent.core.ports import Frames
from sam2_agent.core.progress import Progress
from sam2_agent.core.spare_time import SpareTime
from sam2_agent.core.state import State, Steps
from sam2_agent.core.stepping import Stepping
from sam2_agent.core.survivors import Survivors
from sam2_agent.errors import AgentError, DeviceLost

log = logging.getLogger(__name__)

GUESSES = 16
"""So many requests are foreseen at once, about one for each annotator; beyond that the oldest is given up."""


LATEST = 8
"""So many guesses are looked back at to tell how many sessions there are."""

FEW = 3
"""With so few sessions among the latest guesses, a second frame of each has room beside the first."""


@dataclass(eq=False, slots=True)
class _Guess:
    """A request that may come; `tracks` are the nonces of what it is about.

    It is about `frame`, and what follows it about `later`.  `wanted` until it has come, or never will;
    `leads_on` while what comes after it is worth a look.
    """

    tracks: frozenset[str]
    frame: Picture
    later: Picture | None
    wanted: bool = True
    leads_on: bool = True


class Foresight:
    """Foresees the requests that follow those just answered."""

    def __init__(
        self,
        *,
        stepping: Stepping[tuple[int, int]],
        survivors: Survivors,
        footage: Footage,
        frames: Frames,
        spare: SpareTime,
        fingerprint: str,
    ) -> None:
        self._stepping = stepping
        self._survivors = survivors
        self._footage = footage
        self._frames = frames
        self._spare = spare
        self._fingerprint = fingerprint
        self._guesses: dict[asyncio.Task[None], _Guess] = {}
        self._latest: deque[frozenset[str]] = deque(maxlen=LATEST)
        self._lost: asyncio.Queue[DeviceLost] = asyncio.Queue()

    def expect(self, states: Sequence[State]) -> None:
        """Foresee the request after the one that made these states; they are all on the same frame."""
        task, frame, way = states[0].task, states[0].newest_frame, states[0].way
        following = self._frames.beside(task, frame, way)
        if following is None:
            return
        later = self._frames.beside(task, following, way)
        self._footage.fetch_soon(task, following)  # mostly it is here
        wanted = [guess for guess in self._guesses.values() if guess.wanted]
        for oldest in wanted[: max(0, len(wanted) + 1 - GUESSES)]:
            oldest.wanted = oldest.leads_on = False
        guess = _Guess(
            frozenset(state.nonce for state in states),
            (task, following),
            None if later is None else (task, later),
        )
        self._latest.append(guess.tracks)
        for earlier, overtaken in self._guesses.items():
            if not overtaken.tracks.isdisjoint(guess.tracks):
                earlier.cancel()  # its request was answered: the model is not at it
        work = asyncio.ensure_future(self._foresee(guess, states))
        self._guesses[work] = guess
        work.add_done_callback(self._end)

    def forget(self, states: Sequence[State], asked_for: int) -> None:
        """Go no further with what was foreseen of these tracks: this frame is asked for now."""
        asked = {state.nonce for state in states}
        for guess in self._guesses.values():
            if not guess.tracks.isdisjoint(asked):
                guess.wanted = False
                if guess.frame[1] == asked_for and self._few():
                    self._look_further(guess)

    async def watch(self) -> None:
        """Raise `DeviceLost` when it is found: the agent may start anew before anybody asks."""
        raise await self._lost.get()

    def close(self) -> None:
        """Foresee nothing more."""
        for work in self._guesses:
            work.cancel()

    async def _foresee(self, guess: _Guess, states: Sequence[State]) -> None:
        try:
            await self._encode(guess.frame, lambda: guess.wanted)
            # Only now, so that it takes nothing from those who send the answer and ask for the next.
            self._look_further(guess)
            _, frame = guess.frame
            tracks = [Progress(Steps(state.extended(frame), self._fingerprint)) for state in states]
            ready = [track for track in tracks if self._survivors.lacks_only_newest(track)]
            for track in ready:
                track.todo = [track.steps.last]
            if ready:
                await self._stepping.foresee(ready, self._spare, lambda: guess.wanted)
            if guess.later and self._few():
                await self._encode(guess.later, lambda: guess.leads_on)
        except DeviceLost as lost:
            self._lost.put_nowait(lost)
        except AgentError as why:
            log.debug("A request is not foreseen: %s", why)

    def _few(self) -> bool:
        """Whether there is room for a second frame of each session."""
        return len(set(self._latest)) <= FEW

    def _look_further(self, guess: _Guess) -> None:
        """Have the frame fetched that follows the one that is foreseen."""
        if guess.later:
            self._footage.fetch_soon(*guess.later)

    async def _encode(self, picture: Picture, wanted: Callable[[], bool]) -> None:
        """Encode a frame in spare time, if it is wanted by then."""
        await self._footage.fetched(picture)
        async with self._spare.turn():
            if wanted():
                await self._footage.encoded(picture)

    def _end(self, work: asyncio.Task[None]) -> None:
        del self._guesses[work]
        if not work.cancelled() and (bug := work.exception()):
            log.error("Working ahead met a bug", exc_info=bug)
