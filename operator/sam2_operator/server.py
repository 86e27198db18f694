"""Health and metrics over HTTP: /livez, /readyz, /metrics."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from sam2_operator.adapters.metrics import CONTENT_TYPE, OperatorMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sam2_operator.driver import Driver
    from sam2_operator.watches import Watches


@asynccontextmanager
async def serving(
    driver: Driver, watches: Watches, metrics: OperatorMetrics, port: int
) -> AsyncIterator[int]:
    """Serve while inside; gives the port."""

    async def live(_: web.Request) -> web.Response:
        stuck = driver.stuck()
        if stuck is None:
            return web.Response(text="reconciling\n")
        return web.Response(status=503, text=f"No progress: {stuck} does not end.\n")

    async def ready(_: web.Request) -> web.Response:
        problems = [problem for problem in (driver.problem, watches.problem) if problem is not None]
        if not problems:
            return web.Response(text="all trackers are known\n")
        return web.Response(status=503, text="\n".join(problems) + "\n")

    async def numbers(_: web.Request) -> web.Response:
        trackers, ready_trackers = driver.counts()
        body = metrics.rendered(
            trackers=trackers, ready=ready_trackers, waiting=driver.waiting(), reasons=driver.reasons()
        )
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.add_routes([web.get("/livez", live), web.get("/readyz", ready), web.get("/metrics", numbers)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host=None, port=port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
