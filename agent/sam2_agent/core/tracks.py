"""Going on with tracks: an answer that stands is given again, what is missing is computed and published.

One request, for all its objects together:

1. Read the answers of the newest steps, unless they were foreseen.  An object whose answer stands is done,
   unless nobody could go on from it (`Keeping.incomplete`).
2. For the others find what their step reads (`survivors`).  Where something is missing, plan which earlier
   steps to compute again (`restore.missing`).
3. Compute step by step, all objects on the same frame together (`stepping`), and publish each round before
   the next begins (`rounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic

from sam2_agent.core.behind import Keeping
from sam2_agent.core.ports import Clock, Events, Records
from sam2_agent.core.progress import P, Progress, Steps
from sam2_agent.core.recent import Recent
from sam2_agent.core.records import Answer
from sam2_agent.core.rounds import Rounds
from sam2_agent.core.stepping import Stepping
from sam2_agent.core.survivors import Survivors
from sam2_agent.errors import RequestRefused, TrackLost


class Tracks(Generic[P]):
    """Answers for tracks; see the module.

    `patience` is how many seconds a request may spend on restoring tracks before it is refused; what was
    restored by then is published, and the next request goes on from there.
    """

    def __init__(
        self,
        *,
        stepping: Stepping[P],
        survivors: Survivors,
        store: Records,
        keeping: Keeping,
        recent: Recent,
        clock: Clock,
        events: Events,
        patience: float,
    ) -> None:
        self._stepping = stepping
        self._keeping = keeping
        self._clock = clock
        self._events = events
        self._patience = patience
        self._survivors = survivors
        self._rounds = Rounds(
            stepping=stepping, store=store, survivors=survivors, keeping=keeping, recent=recent
        )

    async def reach(
        self, wanted: Sequence[Steps[P]], token: str, computed: Callable[[], None] = lambda: None
    ) -> list[Answer]:
        """Return the answer of the newest step of each track; all newest steps read the same frame.

        `computed` is called when the model has computed the last step, and before that is published.

        Raises `RequestRefused`, `Unavailable` or `LeaseLost`; what was published until then stands.
        """
        tracks = {steps.name(steps.last): Progress(steps) for steps in wanted}
        # Of what was foreseen publishing tells what stands.
        await self._survivors.find_newest(
            [track for name, track in tracks.items() if not self._stepping.has_foreseen(name)]
        )
        late = [track for track in tracks.values() if track.newest is None]
        standing = [track for track in tracks.values() if track.newest is not None]
        self._events.reused(len(standing))
        give_up_at = self._clock.now() + self._patience
        await self._plan(late, give_up_at)
        for track in await self._keeping.incomplete(standing, token) if standing else ():
            with suppress(TrackLost):  # then what stands is all there is
                await self._plan([track], give_up_at)
                late.append(track)
        while late := [track for track in late if track.todo]:
            if any(len(track.todo) > 1 for track in late):
                self._require_time(give_up_at)
            picture = min(late, key=lambda track: track.todo[0]).next_picture
            along = [track for track in late if track.next_picture == picture]
            is_last = len(along) == len(late) and all(len(track.todo) == 1 for track in late)
            await self._rounds.advance(along, token, computed if is_last else lambda: None)
        return [answer for steps in wanted if (answer := tracks[steps.name(steps.last)].newest)]

    async def _plan(self, tracks: Sequence[Progress[P]], give_up_at: float) -> None:
        """Set what to compute: the newest steps, and before them what they lack."""
        await self._survivors.find_read(tracks)
        for track in tracks:
            plan = await self._survivors.missing(track, lambda: self._require_time(give_up_at))
            if plan:
                track.steps.picture(plan[0])  # raises where nobody has it any more
            self._events.restored(len(plan))
            track.todo = [*plan, track.steps.last]

    def _require_time(self, give_up_at: float) -> None:
        if self._clock.now() > give_up_at:
            raise RequestRefused(
                "The agent is restoring this track, which takes a while; run the action again."
            )
