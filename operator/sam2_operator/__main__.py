"""The operator: `python -m sam2_operator`. Its settings are environment variables, see docs/operator.md."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import uvloop
from pydantic import ValidationError

from sam2_operator import commands, wiring
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.metrics import OperatorMetrics
from sam2_operator.driver import Driver
from sam2_operator.errors import OperatorError
from sam2_operator.gateway.process import serve
from sam2_operator.gateway.settings import PREFIX as GATEWAY_PREFIX
from sam2_operator.gateway.settings import GatewaySettings
from sam2_operator.pace import Pace
from sam2_operator.server import serving
from sam2_operator.settings import PREFIX, Settings
from sam2_operator.watches import Watches

log = logging.getLogger("sam2_operator")

EXIT_USAGE = 64
_END_SECONDS = 10.0
"""How long reconciles that run may take to end: with all the rest less than the 30 of a pod."""
_THREADS_SECONDS = 2.0


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


async def operate(settings: Settings) -> None:
    """Reconcile until the process is told to stop; then end what runs, within what a pod is given for it."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _collect_garbage_seldom()
    metrics = OperatorMetrics()
    api = wiring.connect(settings.workers)
    world, kube = wiring.outside(settings, api, metrics)
    reconciler = wiring.reconciler(settings, world, kube.instance)
    scopes = wiring.scopes(settings, kube)
    rng = random.Random()  # noqa: S311 - jitter is no secret
    executor = ThreadPoolExecutor(settings.workers + 1, thread_name_prefix="reconcile")
    driver = Driver(
        reconcile=reconciler.reconcile,
        serves=lambda pod: (report := world.agents.report(pod)) is not None and report.ready,
        scopes=wiring.swept(scopes, reconciler),
        observe=metrics.observe,
        waited=metrics.waited,
        executor=executor,
        workers=settings.workers,
        pace=Pace(settings.interval_seconds, settings.agent_interval_seconds),
        random=rng,
    )

    def wake(namespace: str, name: str) -> None:
        loop.call_soon_threadsafe(driver.wake, namespace, name)

    watches = Watches(wake, scopes, settings.watch_silence_seconds, rng)
    async with serving(driver, watches, metrics, settings.http_port) as port:
        log.info("serving health and metrics on port %d", port)
        driving = asyncio.create_task(driver.run(), name="driver")
        told = asyncio.create_task(stopping.wait(), name="stopping")
        watches.start()
        await asyncio.wait({driving, told}, return_when=asyncio.FIRST_COMPLETED)
        log.info("ending: what runs is finished, nothing new is begun")
        driver.stop()
        await asyncio.to_thread(watches.stop)
        await asyncio.wait({driving}, timeout=_END_SECONDS)
        if driving.done():
            driving.result()
            world.cvat.close()
            world.store.close()
        told.cancel()
        executor.shutdown(wait=False, cancel_futures=True)


def _collect_garbage_seldom() -> None:
    """Let whole searches for circular garbage be rare: each stops all threads and looks at every object.

    With 1,000 trackers one took 0.2 s. What a reconcile leaves is freed without it, and what an error leaves
    by the searches among young objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def main(arguments: list[str] | None = None) -> int:
    """Run the operator or a command of the chart's hooks; give the exit status."""
    options = _parser().parse_args(arguments)
    serves_cvat = options.command == "gateway"
    try:
        settings = GatewaySettings() if serves_cvat else Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(map(str, problem["loc"])).upper()
            prefix = GATEWAY_PREFIX if serves_cvat else PREFIX
            sys.stderr.write(f"{prefix}{name}: {problem['msg']}\n" if name else f"{problem['msg']}\n")
        return EXIT_USAGE
    _log_to_stderr(settings)
    try:
        return _run(options, settings)
    except OperatorError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it; a traceback would hide it
        return 1


def _run(options: argparse.Namespace, settings: Settings | GatewaySettings) -> int:
    if isinstance(settings, GatewaySettings):
        uvloop.run(serve(settings))  # a fifth quicker than asyncio's loop at what the gateway does
        return 0
    if options.command == "crds":
        return commands.apply_crds(wiring.connect(1), options.timeout)
    if options.command == "trackers" and options.action == "release":
        return commands.release_trackers(wiring.connect(1), settings.namespaces, SystemClock())
    if options.command == "trackers":
        return commands.delete_trackers(wiring.connect(1), settings.namespaces, options.timeout)
    asyncio.run(operate(settings))
    _leave_threads_behind()
    return 0


def _leave_threads_behind() -> None:
    """Exit although a thread still waits for somebody: it may be interrupted anywhere, as by a crash."""
    main, threads = threading.main_thread(), threading.enumerate()
    others = [each for each in threads if each is not main and not each.daemon]
    deadline = time.monotonic() + _THREADS_SECONDS
    for each in others:
        each.join(max(0.0, deadline - time.monotonic()))
    if running := [each.name for each in others if each.is_alive()]:
        log.info("left to the next operator: what still runs in %s", ", ".join(running))
        logging.shutdown()
        os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam2_operator", description=__doc__)
    subcommands = parser.add_subparsers(dest="command")
    subcommands.add_parser("run", help="reconcile SAM2Trackers (the default)")
    subcommands.add_parser("gateway", help="let CVAT call serverless SAM2Trackers")
    crds = subcommands.add_parser("crds", help="the CustomResourceDefinition")
    crds.add_argument("action", choices=["apply"], help="apply it and wait until it is served")
    crds.add_argument("--timeout", type=float, default=60.0, help="seconds to wait")
    trackers = subcommands.add_parser("trackers", help="all SAM2Trackers served here")
    trackers.add_argument(
        "action",
        choices=["delete", "release"],
        help="delete them and wait until they are gone; or, where no operator runs, let go of them",
    )
    trackers.add_argument("--timeout", type=float, default=240.0, help="seconds to wait")
    return parser


def _log_to_stderr(settings: Settings | GatewaySettings) -> None:
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for noisy in ("urllib3", "kubernetes", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))
    if settings.log_level != "debug":
        # It writes an error with a traceback for each try; what lasts is told in a sentence by the watches.
        logging.getLogger("kopf").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
