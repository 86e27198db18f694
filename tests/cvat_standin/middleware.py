"""What surrounds every call to `/api/`: its log entry, and the fault that it meets."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.cvat_standin.faults import AnswerIngress, AnswerStatus, DropReply, DropRequest, Fault, Stall
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
            headers.get(b"user-agent", b"").decode("latin-1"),
            clock.date(),
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

        match fault:
            case AnswerStatus():
                headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else None
                reply = Reply({"detail": fault.detail}, fault.status, headers)
                await reply(scope, receive, note_and_send)
            case AnswerIngress():
                page = _INGRESS_PAGE.format(status=fault.status, reason=_REASONS.get(fault.status, "Error"))
                await HTMLResponse(page, fault.status)(scope, receive, note_and_send)
            case DropRequest():
                await connection_cutter(scope)()
            case DropReply():
                await self._app(scope, receive, _discard)
                await connection_cutter(scope)()
            case Stall(when="before"):
                await self._stall(fault)
                await self._app(scope, receive, note_and_send)
            case Stall():
                await self._app(scope, receive, self._stalling(note_and_send, fault))
            case None:
                await self._app(scope, receive, note_and_send)

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


async def _discard(_message: Message) -> None:
    """Where a reply goes that nobody gets."""
