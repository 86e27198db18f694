"""What surrounds every call to `/api/`: its log entry, and the fault that it meets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.cvat_standin.faults import (
    AnswerIngress,
    AnswerStatus,
    DropReply,
    DropRequest,
    Fault,
    Redirect,
    Stall,
    Trickle,
    TruncateReply,
)
from tests.cvat_standin.journal import LogEntry
from tests.cvat_standin.replies import Reply, connection_cutter
from tests.cvat_standin.state import StandIn

_INGRESS_PAGE = """<html>
<head><title>{status} {reason}</title></head>
<body>
<center><h1>{status} {reason}</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""
_REASONS = {
    404: "Not Found",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


class Surroundings:
    """ASGI middleware: log, spoil, pass on."""

    def __init__(self, app: ASGIApp, standin: StandIn) -> None:
        self._app = app
        self._standin = standin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        clock = self._standin.clock
        query = scope["query_string"].decode("latin-1")
        headers = dict(scope["headers"])
        entry = self._standin.journal.begin(
            scope["method"],
            scope["path"],
            query,
            clock.date(),
            user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
            client=(scope.get("client") or ("",))[0],
        )
        scope["state"]["log_entry"] = entry
        fault = self._standin.faults.take(scope["method"], scope["path"], dict(parse_qsl(query)))
        entry.fault = fault.kind if fault else None
        began = clock.now()
        try:
            await self._answer(fault, entry, scope, receive, send)
        finally:
            self._standin.journal.end(entry, 1000 * (clock.now() - began))

    async def _answer(
        self, fault: Fault | None, entry: LogEntry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        async def note_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
            await send(message)

        if isinstance(fault, Stall) and fault.when == "before":
            await self._stall(fault)
        if isinstance(fault, AnswerStatus | AnswerIngress | Redirect):
            if not isinstance(fault, Redirect) and fault.when == "after":
                await self._app(scope, receive, _discard)
            await _error(fault)(scope, receive, note_and_send)
        elif not isinstance(fault, DropRequest):
            await self._app(scope, receive, self._spoiled(note_and_send, fault))
        if isinstance(fault, DropRequest | DropReply | TruncateReply):
            await connection_cutter(scope)()

    def _spoiled(self, send: Send, fault: Fault | None) -> Send:
        """What becomes of the reply."""
        match fault:
            case DropReply():
                return _discard
            case TruncateReply():
                return _first_half(send)
            case Trickle():
                return _in_pieces(send, fault)
            case Stall(when="after"):
                return self._stalling(send, fault)
            case _:
                return send

    def _stalling(self, send: Send, fault: Stall) -> Send:
        """Send, but not before the stall is over; the work behind it is done."""
        over = False

        async def send_late(message: Message) -> None:
            nonlocal over
            if not over:
                await self._stall(fault)
                over = True
            await send(message)

        return send_late

    async def _stall(self, fault: Stall) -> None:
        """Wait as long as the fault says, or until stalls are released."""
        waits = [asyncio.ensure_future(self._standin.faults.released())]
        if fault.seconds is not None:
            until = self._standin.clock.now() + fault.seconds
            waits.append(asyncio.ensure_future(self._standin.clock.sleep_until(until)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with suppress(asyncio.CancelledError):
                    await wait


def _error(fault: AnswerStatus | AnswerIngress | Redirect) -> Response:
    if isinstance(fault, Redirect):
        return RedirectResponse(fault.location, fault.status)
    if isinstance(fault, AnswerIngress):
        page = _INGRESS_PAGE.format(status=fault.status, reason=_REASONS.get(fault.status, "Error"))
        return HTMLResponse(page, fault.status)
    headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else None
    return Reply({"detail": fault.detail}, fault.status, headers)


async def _discard(_message: Message) -> None:
    """Where a reply goes that nobody gets."""


def _in_pieces(send: Send, fault: Trickle) -> Send:
    """Send every part of the body slowly."""

    async def send_slowly(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        body, step = message.get("body", b""), -(-len(message.get("body", b"")) // fault.pieces) or 1
        for start in range(0, len(body), step):
            await asyncio.sleep(fault.seconds)
            await send({**message, "body": body[start : start + step], "more_body": True})
        await send({**message, "body": b""})

    return send_slowly


def _first_half(send: Send) -> Send:
    """Send what says how long the body is, and the first half of its first part."""
    begun = False

    async def send_half(message: Message) -> None:
        nonlocal begun
        if message["type"] == "http.response.start":
            await send(message)
        elif not begun:
            begun = True
            body = message.get("body", b"")
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})

    return send_half
