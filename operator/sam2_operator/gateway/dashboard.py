"""A Nuclio dashboard behind the gateway: gets what is not for a tracker, as it came.

So a CVAT that already calls Nuclio for its detectors is pointed at the gateway and loses nothing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from sam2_operator.gateway.body import CallerLeftError
from sam2_operator.gateway.calls import read_whole
from sam2_operator.gateway.errors import DashboardAwayError

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

log = logging.getLogger(__name__)

_MAX_LIST = 2**25
_CONNECT_SECONDS = 3.0
_LIST_SECONDS = 4.0
"""A list is asked for whenever somebody opens a page: that must not wait for a dashboard that hangs."""
_OF_ONE_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "host", "expect"),
    }
)
_ADDED_BY_CLIENT = (hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT)
_ASKED_FOR = ("x-nuclio-project-name", "x-nuclio-function-namespace", hdrs.AUTHORIZATION)
"""Headers on which it depends which functions are listed."""


@dataclass(slots=True)
class Dashboard:
    """One Nuclio dashboard."""

    session: aiohttp.ClientSession
    url: str
    """Without a slash at its end."""
    _is_away: bool = False
    _known: tuple[object, dict[str, Any]] = (None, {})
    """The list that it gave last, after what had been asked for."""

    async def functions(self, request: web.Request, path: str, hidden: frozenset[str]) -> dict[str, Any]:
        """Give the functions of the dashboard by name; while it does not answer, those that it gave last."""
        limits = aiohttp.ClientTimeout(total=_LIST_SECONDS, sock_connect=_CONNECT_SECONDS)
        headers = _passed_on(request.headers, hidden)
        asked = (path, *(headers.get(each) for each in _ASKED_FOR))
        headers[hdrs.ACCEPT_ENCODING] = "identity"
        try:
            async with self.session.get(
                self._at(path), headers=headers, timeout=limits, skip_auto_headers=_ADDED_BY_CLIENT
            ) as answer:
                found = _listed(answer.status, await read_whole(answer, _MAX_LIST))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._note(str(error) or type(error).__name__)
            return self._known[1] if self._known[0] == asked else {}
        self._note("")
        self._known = (asked, found)
        return found

    async def pass_on(self, request: web.Request, path: str, hidden: frozenset[str]) -> web.StreamResponse:
        """Let the dashboard answer, for as long as the caller waits; bodies are passed on while they arrive.

        Args:
            request: what came.
            path: with its query, as the dashboard is to see it.
            hidden: names of headers that are not for it, in lower case.

        Raises:
            CallerLeftError: nobody waits for it any more.
            DashboardAwayError: it does not answer.
        """
        try:
            async with self.session.request(
                request.method,
                self._at(path),
                headers=_passed_on(request.headers, hidden),
                data=request.content if request.body_exists else None,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                allow_redirects=False,
                skip_auto_headers=_ADDED_BY_CLIENT,
            ) as answer:
                return await _relayed(request, answer)
        except (aiohttp.ClientError, OSError) as error:
            if request.transport is None or request.transport.is_closing():
                raise CallerLeftError from error
            raise DashboardAwayError("Nuclio's dashboard does not answer; try again in a moment.") from error

    def _at(self, path: str) -> URL:
        """Give the address as it was written: encoding it anew would change it."""
        return URL(self.url + path, encoded=True)

    def _note(self, problem: str) -> None:
        """Log when it goes away and when it comes back."""
        if problem and not self._is_away:
            log.warning("Nuclio's dashboard gives no functions, those last known are listed: %s", problem)
        elif self._is_away and not problem:
            log.info("Nuclio's dashboard gives its functions again.")
        self._is_away = bool(problem)


def _listed(status: int, content: bytes) -> dict[str, Any]:
    if status >= 400:
        raise ValueError(f"status {status}")
    found = json.loads(content)
    if isinstance(found, dict):
        return found
    raise ValueError("no JSON object")


async def _relayed(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Pass the answer on while it arrives.

    Once its beginning is out no other can be given: where the dashboard breaks off, the connection is cut, so
    that the caller does not take a part for the whole.
    """
    response = web.StreamResponse(
        status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
    )
    await response.prepare(request)
    try:
        while chunk := await answer.content.readany():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, OSError) as error:
        log.warning("An answer of Nuclio's dashboard was cut off: %s", str(error) or type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return response


def _passed_on(headers: CIMultiDictProxy[str], hidden: frozenset[str] = frozenset()) -> CIMultiDict[str]:
    named = {each.strip().lower() for each in headers.get(hdrs.CONNECTION, "").split(",")}
    left_out = _OF_ONE_HOP | hidden | named
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in left_out)
