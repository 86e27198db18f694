"""The gateway as a process: its two ports, its watch of trackers, and its end."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

from sam2_operator import handlers, wiring
from sam2_operator.adapters.key_file import LEAST_OF_DOOR_KEY, read_key
from sam2_operator.adapters.metrics import CONTENT_TYPE
from sam2_operator.gateway.app import Reception
from sam2_operator.gateway.calls import Agents
from sam2_operator.gateway.dashboard import Dashboard
from sam2_operator.gateway.entrance import Entrance
from sam2_operator.gateway.metrics import GatewayMetrics
from sam2_operator.gateway.reading import Reader, TrackerList
from sam2_operator.gateway.room import Room
from sam2_operator.gateway.roster import Roster
from sam2_operator.watches import Watches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sam2_operator.gateway.settings import GatewaySettings

log = logging.getLogger(__name__)

_BUFFER = 2**17
"""Of a connection, in bytes: reading stops above twice as much. Callers that wait for room fill that and the
256 KB that uvloop reads at once; with less, reading would be stopped and begun again for each such piece."""
_KEPT_SECONDS = 30.0


async def serve(settings: GatewaySettings) -> None:
    """Serve until the process is told to stop; then finish what is in hand."""
    # It tells with a traceback of each caller that speaks no HTTP; what handlers meet, they log themselves.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    scopes = settings.namespaces or ("",)
    roster = Roster(scopes, settings.roster_file)
    room = Room(settings.max_bytes, settings.max_waiting, settings.max_calls_per_tracker)
    metrics = GatewayMetrics(room, roster)
    rng = random.Random()  # noqa: S311 - jitter is no secret
    trackers = TrackerList(wiring.connect(1), settings.selector)
    reader = Reader(trackers, roster, scopes, settings.interval_seconds, rng)

    def wake(namespace: str, name: str) -> None:
        del namespace, name
        loop.call_soon_threadsafe(reader.wake)

    watches = Watches(
        wake,
        {scope: lambda scope=scope: trackers.of(scope) for scope in scopes},  # type: ignore[misc]
        settings.watch_silence_seconds,
        rng,
        handlers.of_serverless_trackers,
    )
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie belongs to the caller who was given it
                auto_decompress=False,
                read_bufsize=_BUFFER,
            )
        )
        key, secret = settings.door_key_file, settings.secret_file
        reception = Reception(
            entrance=Entrance(None if secret is None else lambda: read_key(secret)),
            roster=roster,
            room=room,
            agents=Agents(
                session, settings.door_address, lambda: read_key(key, LEAST_OF_DOOR_KEY), metrics.retried, rng
            ),
            metrics=metrics,
            dashboard=_dashboard(session, settings),
            default_timeout=settings.default_timeout_seconds,
        )
        serving = asyncio.Event()
        reading = asyncio.create_task(reader.run(), name="reader")
        stack.callback(reading.cancel)
        health = _health(roster, reader, metrics, serving, reading)
        await stack.enter_async_context(listening(health, settings.http_port, 1.0))
        log.info("serving health and metrics on port %d", settings.http_port)
        watches.start()
        stack.push_async_callback(asyncio.to_thread, watches.stop)
        application = reception.application()
        async with listening(application, settings.port, settings.drain_seconds):
            log.info("serving CVAT on port %d", settings.port)
            serving.set()
            await stopping.wait()
            serving.clear()
            log.info("ending: calls in hand are finished")
            await asyncio.sleep(settings.linger_seconds)


@asynccontextmanager
async def listening(application: web.Application, port: int, drain: float) -> AsyncIterator[None]:
    """Listen on all addresses. At the end, give requests in hand so many seconds."""
    runner = web.AppRunner(
        application,
        access_log=None,
        handle_signals=False,
        handler_cancellation=True,
        auto_decompress=False,
        read_bufsize=_BUFFER,
        shutdown_timeout=drain,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host=None, port=port)
        await site.start()
        yield
    finally:
        await runner.cleanup()


def _dashboard(session: aiohttp.ClientSession, settings: GatewaySettings) -> Dashboard | None:
    return None if settings.nuclio_url is None else Dashboard(session, str(settings.nuclio_url).rstrip("/"))


def _health(
    roster: Roster,
    reader: Reader,
    metrics: GatewayMetrics,
    serving: asyncio.Event,
    reading: asyncio.Task[None],
) -> web.Application:
    async def live(_: web.Request) -> web.Response:
        if reading.done():
            return web.Response(status=503, text="Nobody reads trackers any more.\n")
        return web.Response(text="serving\n")

    async def ready(_: web.Request) -> web.Response:
        if not serving.is_set():
            return web.Response(status=503, text="The gateway begins, or was told to end.\n")
        if not roster.is_known:
            return web.Response(status=503, text=f"{reader.problem or 'No tracker has been listed yet.'}\n")
        problem = f" {reader.problem}" if reader.problem else ""
        return web.Response(text=f"{len(roster.listed())} trackers are shown.{problem}\n")

    async def numbers(_: web.Request) -> web.Response:
        return web.Response(body=metrics.rendered(), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", numbers)])
    return application
