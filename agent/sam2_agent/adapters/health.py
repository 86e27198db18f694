"""The agent's HTTP endpoints: health, status, metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from sam2_agent.adapters.listening import listen
from sam2_agent.core.status import Status


@asynccontextmanager
async def serve(status: Status, expose_metrics: Callable[[], bytes], port: int) -> AsyncIterator[int]:
    """Answer on all addresses while the context lasts; yields the port (a free one for 0).

    /livez     the loop moves
    /startupz  the model is loaded
    /readyz    requests are answered
    /status    why, as JSON
    /metrics   for Prometheus
    """

    async def report(_: web.Request) -> web.Response:
        return web.Response(text=status.report().model_dump_json(), content_type="application/json")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=expose_metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def probe(healthy: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(_: web.Request) -> web.StreamResponse:
            found = status.report()
            return web.Response(text=f"{found.reason}: {found.message}\n", status=200 if healthy() else 503)

        return answer

    app = web.Application()
    app.router.add_get("/livez", probe(status.alive))
    app.router.add_get("/startupz", probe(status.started))
    app.router.add_get("/readyz", probe(lambda: status.report().ready))
    app.router.add_get("/status", report)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listener = listen(port, "SAM2_AGENT_HTTP_PORT")
        await web.SockSite(runner, listener).start()
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()
