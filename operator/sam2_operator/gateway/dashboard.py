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

from sam2_operator.gateway.calls import read_whole
from sam2_operator.gateway.errors import DashboardAwayError

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

log = logging.getLogger(__name__)

_MAX_LIST = 2**25
_CONNECT_SECONDS = 5.0
_LIST_SECONDS = 20.0
_OF_ONE_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade", "host", "expect"),
    }
)


@dataclass(slots=True)
class Dashboard:
    """One Nuclio dashboard."""

    session: aiohttp.ClientSession
    url: str
    """Without a slash at its end."""
    _is_away: bool = False

    async def functions(self, request: web.Request, path: str, hidden: frozenset[str]) -> dict[str, Any]:
        """Give the functions of the dashboard by name; none while it does not answer."""
        limits = aiohttp.ClientTimeout(total=_LIST_SECONDS, sock_connect=_CONNECT_SECONDS)
        headers = {**_passed_on(request.headers, hidden), hdrs.ACCEPT_ENCODING: "identity"}
        problem = ""
        found: Any = None
        try:
            async with self.session.get(self.url + path, headers=headers, timeout=limits) as answer:
                content = await read_whole(answer, _MAX_LIST)
                if answer.status == 200:
                    found = json.loads(content)
                else:
                    problem = f"status {answer.status}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
        if not problem and not isinstance(found, dict):
            problem = "no JSON object"
        self._note(problem)
        return found if isinstance(found, dict) else {}

    async def pass_on(
        self, request: web.Request, path: str, hidden: frozenset[str], seconds: float | None = None
    ) -> web.StreamResponse:
        """Let the dashboard answer; bodies are passed on while they arrive.

        Args:
            request: what came.
            path: with its query, as the dashboard is to see it.
            hidden: names of headers that are not for it, in lower case.
            seconds: how long that may take.

        Raises:
            DashboardAwayError: it does not answer.
        """
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        headers = _passed_on(request.headers, hidden)
        data = request.content if request.body_exists else None
        try:
            async with self.session.request(
                request.method,
                self.url + path,
                headers=headers,
                data=data,
                timeout=limits,
                allow_redirects=False,
            ) as answer:
                return await _relayed(request, answer)
        except (aiohttp.ClientError, OSError) as error:
            if request.transport is None or request.transport.is_closing():
                raise
            raise DashboardAwayError("Nuclio's dashboard does not answer; try again in a moment.") from error

    def _note(self, problem: str) -> None:
        """Log when it goes away and when it comes back."""
        if problem and not self._is_away:
            log.warning("Nuclio's dashboard gives no functions, only trackers are listed: %s", problem)
        elif self._is_away and not problem:
            log.info("Nuclio's dashboard gives its functions again.")
        self._is_away = bool(problem)


async def _relayed(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(
        status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
    )
    await response.prepare(request)
    while chunk := await answer.content.readany():
        await response.write(chunk)
    await response.write_eof()
    return response


def _passed_on(headers: CIMultiDictProxy[str], hidden: frozenset[str] = frozenset()) -> dict[str, str]:
    named = {each.strip().lower() for each in headers.get(hdrs.CONNECTION, "").split(",")}
    left_out = _OF_ONE_HOP | hidden | named
    return {name: value for name, value in headers.items() if name.lower() not in left_out}
