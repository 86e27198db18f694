"""CVAT's functions, over CVAT's own SDK.

Sessions are kept and shared: trackers of one account in one CVAT use one login and one pool of connections.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sam2_operator.adapters.cvat.answers import Answer, parsed, unreachable
from sam2_operator.adapters.cvat.connection import Connection, unknown_organization
from sam2_operator.adapters.cvat.documents import (
    FunctionDocument,
    FunctionPage,
    OrganizationPage,
    OwnerDocument,
)
from sam2_operator.adapters.cvat.line import Line
from sam2_operator.adapters.cvat.restraint import Restraint
from sam2_operator.adapters.cvat.sightings import Sightings
from sam2_operator.core.bulkhead import Bulkhead
from sam2_operator.core.observed import CvatAccess, Function, User
from sam2_operator.errors import (
    CvatError,
    ForeignAnswerError,
    NotAskedError,
    NotFoundError,
    OrganizationUnknownError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sam2_operator.core.functions import Fields
    from sam2_operator.core.ports import Clock, CvatSession

SECONDS = (5.0, 20.0)
"""To connect and between bytes: well below the settle time of a registration."""
_SLOW_SECONDS = 2.0
"""An answer that takes as long keeps a thread from others."""
_PAGE_SIZE = 500
"""CVAT gives fewer where it allows fewer."""
_MAX_PAGES = 1000
_MAX_SESSIONS = 256


class SdkCvat:
    """The port `Cvat`."""

    def __init__(
        self,
        clock: Clock,
        seconds: tuple[float, float] = SECONDS,
        *,
        slow_seconds: float = _SLOW_SECONDS,
        slots: int = 2,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Wait `seconds` to connect and between bytes; let `slots` threads wait for slow CVATs together.

        `count` takes what came of each request: Answered, the reason of its error, or NotAsked.
        """
        self._clock, self._seconds, self._count = clock, seconds, count
        self._bulkhead = Bulkhead(clock.monotonic, slow_seconds=slow_seconds, slots=slots)
        self._lock = Lock()
        self._sessions: OrderedDict[CvatAccess, SdkSession] = OrderedDict()
        self._hosts: OrderedDict[str, Restraint] = OrderedDict()

    def session(self, access: CvatAccess) -> CvatSession:
        """Give the session of an account; the least recently used are closed when there are many."""
        with self._lock:
            session = self._sessions.pop(access, None) or self._begin(access)
            self._sessions[access] = session
            surplus = [self._sessions.popitem(last=False)[1]] if len(self._sessions) > _MAX_SESSIONS else []
        for old in surplus:
            old.close()
        return session

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            sessions, self._sessions = self._sessions, OrderedDict()
        for session in sessions.values():
            session.close()

    def _begin(self, access: CvatAccess) -> SdkSession:
        host = _host(access)
        shared = self._hosts.pop(host, None) or Restraint(self._clock, slow_seconds=self._seconds[0] / 2)
        self._hosts[host] = shared
        if len(self._hosts) > _MAX_SESSIONS:
            self._hosts.popitem(last=False)
        line = Line(host, account=Restraint(self._clock), shared=shared, bulkhead=self._bulkhead)
        connection = Connection(access, self._clock, self._seconds)
        return SdkSession(access, line, connection, Sightings(self._clock), self._count)


class SdkSession:
    """The port `CvatSession`; safe to use from several threads, one request at a time."""

    def __init__(
        self,
        access: CvatAccess,
        line: Line,
        connection: Connection,
        seen: Sightings,
        count: Callable[[str], None],
    ) -> None:
        self._access, self._line, self._connection, self._seen = access, line, connection, seen
        self._count = count

    def close(self) -> None:
        """Close the connections."""
        with self._line.alone():
            self._connection.close()

    def user(self) -> User:
        """Give the account."""
        answer = self._ask("GET", "/api/users/self")
        found = parsed(OwnerDocument, answer)
        return User(found.id, found.username)

    def function(self, function_id: int) -> Function:
        """Give a function, as it was at most some seconds ago if many are asked for.

        Raises:
            NotFoundError: CVAT itself says now that there is none.
        """
        seen = self._seen.wanted(function_id)
        if seen is not None:
            return seen
        try:
            listed = self._listed(function_id)
            if listed is not None:
                return listed
            found = parsed(FunctionDocument, self._ask("GET", f"/api/functions/{function_id}")).function()
        except NotFoundError:
            self._seen.forget(function_id)
            self._require_organization()
            raise
        except NotAskedError:
            remembered = self._seen.remembered(function_id)
            if remembered is None:
                raise
            return remembered
        self._seen.note(found)
        return found

    def _listed(self, function_id: int) -> Function | None:
        """Give a function from a list that serves many, made by whoever comes first."""
        if not self._seen.listing_is_cheaper():
            return None
        with self._line.turn():
            if self._seen.listing_is_cheaper():
                self.functions()
            return self._seen.wanted(function_id)

    def functions(self) -> tuple[Function, ...]:
        """Give all functions that the account sees in its organization."""
        found: dict[int, Function] = {}
        began = self._seen.now()
        for page in range(1, _MAX_PAGES):
            query = {"page": page, "page_size": _PAGE_SIZE, "sort": "id"}
            answer = parsed(FunctionPage, self._ask("GET", "/api/functions", query=query))
            found |= {each.id: each.function() for each in answer.results}
            if answer.next is None:
                self._seen.note_listing(found.values(), pages=page, at=began)
                return tuple(found.values())
        raise ForeignAnswerError(
            f"{self._access.url} lists functions without end: it does not behave like CVAT."
        )

    def recent_functions(self) -> tuple[Function, ...]:
        """Give them from a list that serves all who ask within some seconds."""
        with self._line.turn():
            recent = self._seen.listing()
            return self.functions() if recent is None else recent

    def register(self, fields: Fields) -> int:
        """Make a function and give its id."""
        body = {
            "provider": "native",
            "kind": "tracker",
            "name": fields.name,
            "visibility": fields.visibility,
            "supported_shape_types": list(fields.shape_types),
        }
        try:
            answer = self._ask("POST", "/api/functions", body=body)
        finally:
            self._seen.note_change()
        try:
            return parsed(FunctionDocument, answer).id
        except ForeignAnswerError as error:
            # Whatever answered "done" may stand in front of a CVAT that did it.
            raise unreachable(self._access.url, str(error)) from error

    def delete(self, function_id: int) -> None:
        """Delete a function."""
        self._seen.forget(function_id)
        try:
            self._ask("DELETE", f"/api/functions/{function_id}")
        except NotFoundError:
            self._require_organization()
            raise

    def _require_organization(self) -> None:
        """Tell a function that is gone from an organization that is gone, where everything is 404."""
        slug = self._access.organization
        if slug:
            page = parsed(OrganizationPage, self._ask("GET", "/api/organizations", query={"slug": slug}))
            if slug.lower() not in {each.slug.lower() for each in page.results}:
                raise OrganizationUnknownError(unknown_organization(self._access))

    def _ask(
        self, verb: str, path: str, *, query: dict[str, Any] | None = None, body: dict[str, Any] | None = None
    ) -> Answer:
        result = "Answered"
        try:
            with self._line.asking():
                return self._connection.ask(verb, path, query=query, body=body)
        except CvatError as error:
            result = "NotAsked" if isinstance(error, NotAskedError) else error.reason
            raise
        finally:
            self._count(result)


def _host(access: CvatAccess) -> str:
    """Give what is slow when one of its accounts finds it slow: the server, by the way there."""
    target = urlsplit(access.url)
    way = f" through {access.proxy_url}" if access.proxy_url else ""
    return f"{target.scheme}://{target.netloc}{way}"
