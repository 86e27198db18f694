"""The operator's ports to CVAT, Redis, agents and time, in the simulated world.

As much of the operator's own adapters as possible is real: what an answer of CVAT means, when CVAT may be
asked again, how long an agent's word counts. Only what sends and waits is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, TypeVar

import urllib3

from sam2_operator.adapters.agents import HttpAgents
from sam2_operator.adapters.cvat.connection import Connection
from sam2_operator.adapters.cvat.sdk import SECONDS, SdkCvat, SdkSession
from sam2_operator.core.naming import state_user
from sam2_operator.core.observed import AgentReport, CvatAccess, StateAccess, TokenCredentials
from sam2_operator.errors import StateStoreError
from tests.operator_simulation.cvat import CVAT, Response
from tests.operator_simulation.network import BrokenError, Network, RefusedError
from tests.operator_simulation.strands import StrandLock, StrandLoop

T = TypeVar("T")

Send = Callable[[str, str, str, Any], Response]
"""Takes the token, the verb, the path and the body."""

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """The port `Clock`; processes may disagree about the time of day by `skew` seconds."""

    loop: StrandLoop
    skew: float = 0.0

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.loop.time() + self.skew)

    def monotonic(self) -> float:
        return self.loop.time()


class _Client:
    """As much of the SDK's ApiClient as a session uses."""

    def __init__(self, ask: Callable[[str, str, Any], Response]) -> None:
        self._ask = ask
        self.rest_client = SimpleNamespace(pool_manager=SimpleNamespace(clear=lambda: None))

    def call_api(self, path: str, verb: str, *, body: Any, **_: Any) -> tuple[None, Response]:
        return None, self._ask(verb, path, body)


class _Connection(Connection):
    """The operator's own connection, but for the wire."""

    def __init__(self, access: CvatAccess, clock: VirtualClock, send: Send) -> None:
        super().__init__(access, clock, SECONDS)
        self._send = send

    def _log_in(self) -> Any:
        credentials = self._access.credentials
        token = credentials.token if isinstance(credentials, TokenCredentials) else ""
        return _Client(lambda verb, path, body: self._send(token, verb, path, body))


@dataclass(frozen=True, slots=True)
class Asker:
    """A process, as CVAT does not know it."""

    name: str
    tracker: Callable[[], str | None]
    """Gives the uid of the tracker that is being reconciled."""
    writes: list[str]
    """Every request that is no read is noted here."""


class SimCvat(SdkCvat):
    """The port `Cvat` of one process: the operator's own, but for the wire and the lock."""

    def __init__(self, cvat: CVAT, network: Network, clock: VirtualClock, *, asker: Asker) -> None:
        super().__init__(clock)
        self._cvat, self._network, self._loop = cvat, network, clock.loop
        self._asker = asker

    def _begin(self, access: CvatAccess) -> SdkSession:
        session = super()._begin(access)
        session._line._lock = StrandLock(self._loop)  # type: ignore[assignment]
        session._connection = _Connection(access, VirtualClock(self._loop), self._send)
        return session

    def _send(self, token: str, verb: str, path: str, body: Any) -> Response:
        made_for = self._asker.tracker()
        made: list[int] = []

        def effect() -> Response:
            if verb != "GET":
                self._asker.writes.append(f"{verb} {path}")
            answer = self._cvat.answer(verb, path, token, body, made_for=made_for, asker=self._asker.name)
            if verb != "GET":
                told = f"{verb} {path} for {made_for}: {answer.status} {_id(answer)}"
                self._network.trace.note("cvat", told)
            if (verb, answer.status) == ("POST", 201):
                made.append(_id(answer))
                for number in made if len(made) > 1 else ():
                    self._cvat.ever[number].is_one_of_two = True
            return answer

        try:
            answer = self._network.call("cvat", f"{verb} {path}", effect)
        except RefusedError:
            return Response(502, {"Content-Type": "text/html"}, b"<h1>502 Bad Gateway</h1>")
        except BrokenError as error:
            raise urllib3.exceptions.ProtocolError(str(error)) from error
        self._cvat.delivered(answer, token, asker=self._asker.name)
        return answer


@dataclass
class Redis:
    """The Redis that the chart installs: users, and trackers that have keys."""

    users: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


@dataclass
class SimStateStore:
    """The port `StateStore` of one process."""

    redis: Redis
    network: Network

    def managed(self, uid: str) -> StateAccess | None:
        return StateAccess(f"redis://{state_user(uid)}:secret@redis:6379/0", managed_user=state_user(uid))

    def ensure_user(self, uid: str) -> None:
        self._ask("ACL SETUSER", lambda: self.redis.users.add(state_user(uid)))

    def forget_user(self, uid: str) -> None:
        self._ask("ACL DELUSER", lambda: self.redis.users.discard(state_user(uid)))

    def ping(self, access: StateAccess) -> None:  # noqa: ARG002 - the port's
        self._ask("PING", lambda: None)

    def purge(self, access: StateAccess, prefix: str) -> bool:
        def effect() -> bool:
            self.redis.keys.discard(prefix)
            if access.managed_user is not None:
                self.redis.users.discard(access.managed_user)
            return True

        return self._ask("purge", effect)

    def close(self) -> None:
        return

    def _ask(self, what: str, effect: Callable[[], T]) -> T:
        try:
            return self.network.call("redis", what, effect)
        except (BrokenError, RefusedError) as error:
            raise StateStoreError("Redis does not answer.") from error


class SimAgents(HttpAgents):
    """The port `Agents` of one process: the operator's own, but for the wire."""

    def __init__(
        self, clock: VirtualClock, network: Network, says: Callable[[str], AgentReport | None]
    ) -> None:
        super().__init__(clock)
        self._network = network
        self._says = says

    def _ask(self, address: str) -> AgentReport:
        try:
            said = self._network.call("agent", f"GET {address}/status", lambda: self._says(address))
        except (BrokenError, RefusedError) as error:
            raise urllib3.exceptions.ProtocolError(str(error)) from error
        if said is None:
            raise urllib3.exceptions.ProtocolError("no route to host")
        return said


@dataclass
class Counts:
    """The port `Metrics`: something left behind is told by it also when no event can be made."""

    tracker: Callable[[], str | None]
    left: Callable[[str], None]
    """Takes the uid of each tracker of which something was left behind."""

    def left_behind(self) -> None:
        self.left(self.tracker() or "")

    def registered(self) -> None:
        return


def _id(answer: Response) -> Any:
    try:
        return json.loads(answer.data or b"{}").get("id", "")
    except ValueError:
        return ""
