"""The calls that CVAT makes of Nuclio's dashboard; all others go to a dashboard, if there is one.

CVAT shows annotators the status line of an answer that is an error, and nothing of its body. So the sentence
that says what happened is the reason of that line, too.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from aiohttp import hdrs, web

from sam2_operator.core.nuclio import function, seconds
from sam2_operator.errors import OperatorError
from sam2_operator.gateway.body import Body, CallerLeftError
from sam2_operator.gateway.errors import BadCallError, GatewayError, NotKnownError, UnknownFunctionError

if TYPE_CHECKING:
    from sam2_operator.gateway.calls import Agents, Answer
    from sam2_operator.gateway.dashboard import Dashboard
    from sam2_operator.gateway.entrance import Admitted, Entrance
    from sam2_operator.gateway.metrics import GatewayMetrics
    from sam2_operator.gateway.room import Room
    from sam2_operator.gateway.roster import Roster

log = logging.getLogger(__name__)

FUNCTIONS = "/api/functions"
INVOCATIONS = "/api/function_invocations"
MAX_BODY = 2**27
"""Of a call, in bytes: what an agent reads."""
_MAX_REASON = 300
_AGAIN_SECONDS = "2"


@dataclass(frozen=True, slots=True)
class Reception:
    """Answers requests."""

    entrance: Entrance
    roster: Roster
    room: Room
    agents: Agents
    metrics: GatewayMetrics
    dashboard: Dashboard | None
    default_timeout: float
    _troubles: dict[str, str] = field(default_factory=dict)
    """Why calls of a tracker failed last, by its name."""

    def application(self) -> web.Application:
        """Give the application; nothing is read of a body that nobody asks for."""
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{anything:.*}", self._answered)
        return application

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except CallerLeftError:
            return web.Response(status=499)
        except GatewayError as error:
            return _refusal(error.status, str(error))
        except OperatorError as error:
            log.error("A request was not answered: %s", error)  # noqa: TRY400 - the sentence says it
            return _refusal(503, "The gateway is not set up; its log says more.")
        except Exception:
            log.exception("A request met a fault")
            return _refusal(500, "The gateway met a fault; its log says more.")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not request.raw_path.startswith("/"):
            raise BadCallError("What is called must be a path.")
        admitted = self.entrance.admit(request.raw_path, request.headers)
        place, _, _ = admitted.path.partition("?")
        if request.method == hdrs.METH_GET and place.rstrip("/") == FUNCTIONS:
            return await self._list(request, admitted)
        if request.method == hdrs.METH_GET and place.startswith(f"{FUNCTIONS}/"):
            tracker = self.roster.get(unquote(place.removeprefix(f"{FUNCTIONS}/")))
            if tracker is not None:
                return web.json_response(function(tracker))
        if request.method == hdrs.METH_POST and place.rstrip("/") == INVOCATIONS:
            name = request.headers.get("x-nuclio-function-name", "")
            if self.dashboard is None or self.roster.get(name) is not None:
                return await self._invoke(request, name)
        return await self._pass_on(request, admitted)

    async def _list(self, request: web.Request, admitted: Admitted) -> web.Response:
        found = {}
        if self.dashboard is None:
            self._require_roster()
        else:
            found = await self.dashboard.functions(request, admitted.path, admitted.hidden)
        found |= {tracker.name: function(tracker) for tracker in self.roster.listed()}
        return web.json_response(found)

    def _require_roster(self) -> None:
        """Say nothing about trackers before they were listed once: an empty list would be believed."""
        if not self.roster.is_known:
            raise NotKnownError("The trackers are not known yet; try again in a moment.")

    async def _pass_on(self, request: web.Request, admitted: Admitted) -> web.StreamResponse:
        if self.dashboard is None:
            self._require_roster()
            raise UnknownFunctionError("There is no such function; reload the page.")
        return await self.dashboard.pass_on(request, admitted.path, admitted.hidden)

    async def _invoke(self, request: web.Request, name: str) -> web.Response:
        loop = asyncio.get_running_loop()
        began, result = loop.time(), "failed"
        try:
            response = await self._call(request, name)
            result = "answered" if response.status < 400 else "refused"
            self._note(name, None)
        except CallerLeftError:
            result = "caller left"
            raise
        except GatewayError as error:
            result = error.result
            if error.status >= 500 and self.roster.get(name) is not None:
                self._note(name, error)
            raise
        except asyncio.CancelledError:
            result = "caller left"
            raise
        finally:
            self.metrics.called(result, loop.time() - began)
        return response

    def _note(self, name: str, error: GatewayError | None) -> None:
        """Log when calls of a tracker begin to fail, or fail for another cause, or are answered again."""
        cause = None if error is None else re.sub(r"\d+", "N", str(error))
        if cause == self._troubles.get(name):
            return
        if error is None or cause is None:
            del self._troubles[name]
            log.info("Calls of %s are answered again.", name)
        else:
            self._troubles[name] = cause
            log.warning("A call of %s failed: %s", name, _one_line(str(error)))

    async def _call(self, request: web.Request, name: str) -> web.Response:
        loop = asyncio.get_running_loop()
        if self.roster.get(name) is None:
            self._require_roster()
            raise UnknownFunctionError(f"There is no tracker {name or 'without a name'}; reload the page.")
        length = request.content_length
        if length is None:
            raise BadCallError("A call must tell its length.")
        longest = min(MAX_BODY, self.room.max_bytes)
        if length > longest:
            raise BadCallError(
                f"A call of {length:,} bytes is too long; at most {longest:,} are read. Track fewer objects "
                "at once, or let CVAT compress its images."
            )
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
            raise BadCallError("A call must not be compressed.")
        patience = seconds(request.headers.get("x-nuclio-invoke-timeout")) or self.default_timeout
        until = loop.time() + patience
        async with self.room.taken(name, length, patience / 2) as hold:
            body = Body(request.content, length)
            find = partial(self.roster.get, name)
            response = _response(await self.agents.answer(find, body, hold, until - loop.time()))
            # What it holds counts until the caller has taken it.
            try:
                await response.prepare(request)
                await response.write_eof()
            except OSError as error:
                raise CallerLeftError from error
        return response


def _response(answer: Answer) -> web.Response:
    if answer.status < 400:
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
    return _refusal(answer.status, answer.body.decode(errors="replace").strip())


def _refusal(status: int, sentence: str) -> web.Response:
    return web.Response(
        status=status,
        reason=_one_line(sentence)[:_MAX_REASON] or None,
        body=f"{sentence}\n".encode(errors="replace"),
        content_type="text/plain",
        charset="utf-8",
        headers={hdrs.RETRY_AFTER: _AGAIN_SECONDS} if status == 503 else None,
    )


def _one_line(sentence: str) -> str:
    """Give a sentence as a status line takes it: callers and agents may say anything."""
    return re.sub(r"[^ -~]", "?", " ".join(sentence.split()))
