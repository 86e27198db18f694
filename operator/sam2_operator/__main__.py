"""The operator: `python -m sam2_operator`. Its settings are environment variables, see docs/operator.md."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
from concurrent.futures import ThreadPoolExecutor

import kopf
from pydantic import ValidationError

from sam2_operator import commands, handlers, wiring
from sam2_operator.adapters.metrics import OperatorMetrics
from sam2_operator.driver import Driver, Pace
from sam2_operator.errors import OperatorError
from sam2_operator.server import serving
from sam2_operator.settings import Settings

log = logging.getLogger("sam2_operator")

EXIT_USAGE = 64


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
    """Reconcile until the process is told to stop."""
    metrics = OperatorMetrics()
    api = wiring.connect(settings.workers)
    world, kube = wiring.outside(settings, api, metrics)
    reconciler = wiring.reconciler(settings, world, kube.instance)
    with ThreadPoolExecutor(settings.workers, thread_name_prefix="reconcile") as executor:
        driver = Driver(
            reconcile=reconciler.reconcile,
            serves=lambda pod: (report := world.agents.report(pod)) is not None and report.ready,
            names=kube.names,
            observe=metrics.observe,
            executor=executor,
            pace=Pace(settings.interval_seconds, settings.agent_interval_seconds),
            random=random.Random(),  # noqa: S311 - jitter is no secret
        )
        async with serving(driver, metrics, settings.http_port) as port:
            log.info("serving health and metrics on port %d", port)
            sweep = asyncio.create_task(driver.sweep(), name="sweep")
            try:
                await kopf.operator(
                    registry=handlers.registry(driver.wake),
                    settings=handlers.settings(),
                    standalone=True,
                    clusterwide=not settings.namespaces,
                    namespaces=settings.namespaces,
                )
            finally:
                sweep.cancel()
                await asyncio.gather(sweep, return_exceptions=True)
                await driver.stop()
                world.cvat.close()
                world.store.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the operator or a command of the chart's hooks; give the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(map(str, problem["loc"])).upper()
            sys.stderr.write(f"SAM2_OPERATOR_{name}: {problem['msg']}\n" if name else f"{problem['msg']}\n")
        return EXIT_USAGE
    _log_to_stderr(settings)
    try:
        if options.command == "crds":
            return commands.apply_crds(wiring.connect(1), options.timeout)
        if options.command == "trackers":
            return commands.delete_trackers(wiring.connect(1), settings.namespaces, options.timeout)
        asyncio.run(operate(settings))
    except OperatorError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence says it; a traceback would hide it
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam2_operator", description=__doc__)
    subcommands = parser.add_subparsers(dest="command")
    subcommands.add_parser("run", help="reconcile SAM2Trackers (the default)")
    crds = subcommands.add_parser("crds", help="the CustomResourceDefinition")
    crds.add_argument("action", choices=["apply"], help="apply it and wait until it is served")
    crds.add_argument("--timeout", type=float, default=60.0, help="seconds to wait")
    trackers = subcommands.add_parser("trackers", help="all SAM2Trackers served here")
    trackers.add_argument("action", choices=["delete"], help="delete them and wait until they are gone")
    trackers.add_argument("--timeout", type=float, default=240.0, help="seconds to wait")
    return parser


def _log_to_stderr(settings: Settings) -> None:
    handler = logging.StreamHandler()
    if settings.log_format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    for noisy in ("kopf", "urllib3", "kubernetes", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))


if __name__ == "__main__":
    sys.exit(main())
