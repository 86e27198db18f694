"""Keeps the roster true: lists trackers when a watch tells of a change, and now and then without."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_operator.adapters.kube.answers import MissingRightError, NotServedError
from sam2_operator.adapters.kube.objects import TRACKERS
from sam2_operator.api import PLURAL
from sam2_operator.core.nuclio import is_serverless, shown
from sam2_operator.errors import KubernetesError
from sam2_operator.pace import backoff

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from sam2_operator.adapters.kube.api import KubeApi
    from sam2_operator.core.nuclio import Shown
    from sam2_operator.core.observed import Manifest
    from sam2_operator.gateway.roster import Roster

log = logging.getLogger(__name__)

_LEAST_SECONDS = 0.5
"""Between two listings, whatever happens in the cluster."""


@dataclass(frozen=True, slots=True)
class TrackerList:
    """The API server, as far as the gateway needs it."""

    api: KubeApi
    selector: str = ""
    _unreadable: set[str] = field(default_factory=set)
    """Trackers that were told of already."""
    _telling: threading.Lock = field(default_factory=threading.Lock)
    """Scopes are listed beside each other, and by watches."""

    def of(self, scope: str) -> list[Shown]:
        """List the serverless trackers of a namespace, or of all under the empty name.

        Raises:
            KubernetesError: the API server does not say.
        """
        where = f"/namespaces/{scope}" if scope else ""
        query = {"labelSelector": self.selector} if self.selector else {}
        try:
            found = self.api.pages(f"{TRACKERS}{where}/{PLURAL}", **query)
        except NotServedError as error:
            raise KubernetesError("The API server knows no SAM2Trackers.") from error
        read = {_name(live): shown(live) for live in found if is_serverless(live)}
        with self._telling:
            unreadable = {name for name, tracker in read.items() if tracker is None}
            for name in sorted(unreadable - self._unreadable):
                log.warning("The SAM2Tracker %s is not shown: this version cannot read it.", name)
            self._unreadable.update(unreadable)
        return [tracker for tracker in read.values() if tracker is not None]


def _name(live: Manifest) -> str:
    metadata = live.get("metadata") or {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"


@dataclass(slots=True)
class Reader:
    """Reads in a thread, one listing at a time."""

    trackers: TrackerList
    roster: Roster
    scopes: Sequence[str]
    interval: float
    random: random.Random
    problem: str | None = None
    """Why the roster may be old."""
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Something changed."""
        self._woken.set()

    async def run(self) -> None:
        """Read for ever."""
        failures = 0
        while True:
            self._woken.clear()
            failures = failures + 1 if await self._read() else 0
            await asyncio.sleep(_LEAST_SECONDS)
            patience = backoff(failures, self.interval, self.random) if failures else self.interval
            try:
                await asyncio.wait_for(self._woken.wait(), patience)
            except TimeoutError:
                continue

    async def _read(self) -> str | None:
        """Read all namespaces once; those that cannot be read stay as they were. Give what was wrong."""
        problems = []
        for scope in self.scopes:
            try:
                self.roster.replace(scope, await asyncio.to_thread(self.trackers.of, scope))
            except KubernetesError as error:
                if isinstance(error, MissingRightError):
                    self.roster.refuse(scope)
                problems.append(str(error))
            except Exception as error:
                log.exception("listing the trackers failed")
                problems.append(f"The trackers cannot be listed: {type(error).__name__}.")
        problem = " ".join(problems) or None
        if problem is not None and problem != self.problem:
            log.warning("The trackers last known are shown: %s", problem)
        elif problem is None and self.problem is not None:
            log.info("The trackers can be listed again.")
        self.problem = problem
        return problem
