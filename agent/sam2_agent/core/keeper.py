"""Taking the lease and keeping it; `lease` has the picture and the decisions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random

from sam2_agent.core.alarm import Alarm
from sam2_agent.core.backoff import Backoff
from sam2_agent.core.lease import Lease, look_again_after, renew_after
from sam2_agent.core.ports import Clock, HeldByAnother, Store, Taken
from sam2_agent.core.status import Status
from sam2_agent.core.troubles import Troubles
from sam2_agent.errors import LeaseLost, Unavailable

log = logging.getLogger(__name__)


class LeaseKeeper:
    """Keeps the lease in the status while `run` runs.

    `on_recorded` is called with the number of recorded requests whenever Redis tells it, and with None where
    the lease is new and nobody knows.
    """

    def __init__(
        self,
        *,
        store: Store,
        status: Status,
        clock: Clock,
        rng: Random,
        seconds: float,
        troubles: Troubles,
        on_recorded: Callable[[int | None], None],
    ) -> None:
        self._store = store
        self._status = status
        self._clock = clock
        self._rng = rng
        self._seconds = seconds
        self._troubles = troubles
        self._on_recorded = on_recorded
        self._doubt = Alarm(clock)
        self._taking: asyncio.Task[Taken | HeldByAnother] | None = None

    def token(self) -> str:
        """Return the token of the lease held now; raises `LeaseLost`, or what keeps Redis from telling."""
        lease = self._status.lease
        if lease is not None and lease.held(self._clock.now()):
            return lease.token
        if trouble := self._status.trouble_with("Redis"):
            raise trouble.with_traceback(None)  # kept and raised again: it must not grow
        raise LeaseLost("The lease is not held.")

    def doubt(self, token: str | None) -> None:
        """Take the lease again at once: Redis, or the clock, said that it is lost.

        `token` is the one with which something was refused, None where there was none to try with.  Requests
        are served side by side: one that was refused may tell so after the lease was taken again.  To doubt
        that lease for it would refuse the next one, and so on for ever.
        """
        lease = self._status.lease
        if lease is None or lease.token == token or not lease.held(self._clock.now()):
            self._lose()
            self._doubt.ring()

    async def run(self) -> None:
        """Take the lease and renew it until cancelled."""
        backoff = Backoff(self._rng, longest=self._seconds / 3)
        while True:
            asked_at = self._clock.now()
            try:
                lease = self._status.lease
                wait = await self._renew(lease, asked_at) if lease else await self._take(asked_at)
                backoff.reset()
            except LeaseLost:
                log.warning("The lease was lost; taking it again")
                self._lose()
                continue
            except Unavailable as trouble:
                self._troubles.note(trouble)
                wait = backoff.next()
            await self._doubt.wait(wait)

    async def release(self) -> None:
        """Give the lease up, so that a successor need not wait for its end.

        Also one that is being taken at this moment.
        """
        lease: Lease | Taken | None = self._status.lease
        try:
            if self._taking and isinstance(taken := await self._taking, Taken):
                lease = taken
            if lease:
                await self._store.release(lease.token)
        except Unavailable as trouble:
            log.warning("The lease was not released and has to expire: %s", trouble)

    async def _take(self, asked_at: float) -> float:
        """Try to take the lease; return when to look at it again."""
        nonce = f"{self._rng.getrandbits(128):032x}"
        self._taking = asyncio.ensure_future(self._store.take(nonce, self._seconds))
        try:
            taken = await asyncio.shield(self._taking)
        except Unavailable:
            self._taking = None
            raise
        self._taking = None  # not where this is cancelled: Redis may give the lease all the same
        if isinstance(taken, HeldByAnother):
            return look_again_after(self._seconds, taken.left)
        self._status.lease = Lease(taken.token, taken.epoch, asked_at + self._seconds)
        if self._status.phase == "WaitingForLease":
            self._status.phase = "Serving"
        log.info("The lease is held", extra={"epoch": taken.epoch})
        self._on_recorded(None)
        return renew_after(self._seconds)

    async def _renew(self, lease: Lease, asked_at: float) -> float:
        """Renew the lease; return when to renew again."""
        recorded = await self._store.renew(lease.token, self._seconds)
        if self._status.lease is lease:  # else somebody learned meanwhile that it is lost
            self._status.lease = lease.renewed(asked_at, self._seconds)
        self._on_recorded(recorded)
        return renew_after(self._seconds)

    def _lose(self) -> None:
        self._status.lease = None
        if self._status.phase == "Serving":
            self._status.phase = "WaitingForLease"
