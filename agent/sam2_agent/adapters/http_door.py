"""The door as HTTP: `POST /` with CVAT's payload for trackers, answered with JSON.

A refusal is a sentence in plain text: 400 where calling again is useless, 503 with Retry-After where it is
not, 401 for whoever is not the gateway.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import ClientError, hdrs, web
from pydantic import JsonValue

from sam2_agent.adapters.listening import listen
from sam2_agent.core.door import CallerGone, Door, TurnedAway
from sam2_agent.errors import GaveUp, RequestRefused, Unavailable

log = logging.getLogger(__name__)

TOKEN_HEADER = "X-SAM2-Door-Token"  # noqa: S105  (the name of a header)

BODY_SECONDS = 60.0
"""Who sends a call more slowly holds a place that others wait for."""


@asynccontextmanager
async def serve(
    door: Door, port: int, token_file: Path | None, on_end: Callable[[GaveUp], None]
) -> AsyncIterator[int]:
    """Answer on all addresses while the context lasts; yields the port (a free one for 0).

    With a `token_file` only callers who send its content are let in; it is read for each call, for it may be
    changed.  `on_end` is called with what ends the agent.
    """

    async def call(request: web.Request) -> web.Response:
        try:
            if token_file is not None and not _is_gateway(request, token_file):
                return web.Response(status=401, text="Only the tracker's gateway may call this agent.\n")
            return web.json_response(await _answer(door, request))
        except Exception as error:  # noqa: BLE001  (each is told, and the unknown ones logged)
            if isinstance(error, GaveUp):
                on_end(error)
            return _told(error)

    app = web.Application()
    app.router.add_post("/", call)
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, shutdown_timeout=1.0, auto_decompress=False
    )
    await runner.setup()
    try:
        listener = listen(port, "SAM2_AGENT_DOOR_PORT")
        await web.SockSite(runner, listener).start()
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


async def _answer(door: Door, request: web.Request) -> dict[str, JsonValue]:
    """Let a call in; raises what the door raises."""
    if request.content_length is None or request.headers.get(hdrs.CONTENT_ENCODING, "identity") != "identity":
        raise RequestRefused("A tracking call must tell its length and come uncompressed.")
    with door.admitted(request.content_length):
        return await door.answer(await _body(request), lambda: _has_left(request))


async def _body(request: web.Request) -> bytearray:
    """Read what was announced; not by aiohttp's own `read`, which keeps it as long as the request lives."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
    except TimeoutError:
        raise TurnedAway(
            "The tracking call did not arrive in time; look at the network before the agent."
        ) from None
    except (OSError, ClientError) as error:
        raise CallerGone from error
    return body


def _told(error: Exception) -> web.Response:
    """Say in a sentence what went wrong."""
    headers: dict[str, str] = {}
    match error:
        case RequestRefused():
            status, sentence = 400, str(error)
        case TurnedAway(retry_after=after) | Unavailable(retry_after=after):
            status, sentence = 503, str(error)
            headers["Retry-After"] = str(max(1, round(after or 1)))
        case GaveUp():
            status, sentence = 503, "The tracking agent starts anew; run again in a minute."
            headers["Retry-After"] = "5"
        case CallerGone():
            status, sentence = 499, "The caller left."
        case _:
            log.error("A call met a bug", exc_info=error)
            status, sentence = 500, "The tracking agent met an internal error; its log says more."
    return web.Response(status=status, text=f"{sentence}\n", headers=headers)


def _is_gateway(request: web.Request, token_file: Path) -> bool:
    try:
        token = token_file.read_bytes().strip()
    except OSError:
        token = b""
    if not token:
        log.warning("There is no token in %s: nobody is let in", token_file)
        raise TurnedAway("The agent has no token to know its gateway by; mend its Secret.")
    told = request.headers.get(TOKEN_HEADER, "").encode(errors="surrogateescape")
    return hmac.compare_digest(told, token)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
