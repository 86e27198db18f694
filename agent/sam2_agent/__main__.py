"""Run the agent: `python -m sam2_agent`, with settings from the environment (docs/agent.md)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_agent import VERSION, settings
from sam2_agent.adapters import health, http_door, logs
from sam2_agent.adapters.call_threads import CallThreads
from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_frames import CVATFrames
from sam2_agent.adapters.cvat_queue import CVATQueue
from sam2_agent.adapters.images import decode
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.model_loading import load_model
from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.adapters.single_thread import SingleThread
from sam2_agent.core.patience import Patience
from sam2_agent.core.status import PEERS, Status
from sam2_agent.core.tracking import Tracker
from sam2_agent.errors import GaveUp, InvalidSettings
from sam2_agent.loop import Agent
from sam2_agent.reception import Reception
from sam2_agent.settings import QueueSettings, ServerlessSettings
from sam2_agent.world import QueueWorld, World

log = logging.getLogger("sam2_agent")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The first lets the request in hand be finished; the second leaves it to the successor at once."""

MAX_MESSAGE_BYTES = 4096
"""Kubernetes keeps no more of a termination message."""


def main() -> int:
    """Run until told to stop; return the exit status."""
    termination_file = Path(
        os.environ.get(settings.PREFIX + "TERMINATION_MESSAGE_FILE", "/dev/termination-log")
    )
    try:
        chosen = settings.load(os.environ)
        logs.configure(chosen.log_format)
        asyncio.run(_run(chosen))
    except InvalidSettings as error:
        logs.configure("text")
        return _give_up(error, termination_file)
    except GaveUp as error:
        return _give_up(error, termination_file)
    except Exception:
        log.exception("The agent met a bug")
        return _give_up(GaveUp("The agent met an internal error; its log says more."), termination_file)
    return 0


async def _run(chosen: QueueSettings | ServerlessSettings) -> None:
    """Answer health, load the model, serve."""
    serverless = isinstance(chosen, ServerlessSettings)
    status = Status(VERSION, BootClock(), peers=("Redis",) if serverless else PEERS)
    metrics = Metrics(status)
    compute, apart = SingleThread("model"), SingleThread("apart")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(CallThreads())
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    try:
        async with health.serve(status, metrics.expose, chosen.http_port) as port:
            log.info(
                "The agent starts",
                extra={"version": VERSION, "port": port, "interface": chosen.interface},
            )
            status.phase = "LoadingModel"
            loading = asyncio.ensure_future(compute(load_model, chosen))
            stopped = asyncio.ensure_future(stopping.wait())
            await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if stopping.is_set():
                return
            tracker = loading.result()
            status.fingerprint = tracker.fingerprint
            log.info("The model is loaded", extra={"fingerprint": tracker.fingerprint})
            async with _agent(chosen, status, metrics, tracker, compute=compute, apart=apart) as agent:
                for number in STOP_SIGNALS:
                    loop.add_signal_handler(number, agent.stop)
                await agent.run()
    except* GaveUp as group:
        raise _first(group) from group
    finally:
        compute.close()
        apart.close()


@asynccontextmanager
async def _agent(
    chosen: QueueSettings | ServerlessSettings,
    status: Status,
    metrics: Metrics,
    tracker: Tracker,
    *,
    compute: SingleThread,
    apart: SingleThread,
) -> AsyncIterator[Agent | Reception]:
    """Wire the adapters."""
    life = chosen.memory_ttl_seconds if isinstance(chosen, QueueSettings) else chosen.state_ttl_seconds
    store = RedisStore(
        connect(
            chosen.read_redis_url(), chosen.redis_ca_file, answer_seconds=_redis_seconds(chosen.lease_seconds)
        ),
        prefix=chosen.key_prefix,
        holder=chosen.holder,
        state_seconds=chosen.state_ttl_seconds,
        memory_seconds=life,
        on_answer=lambda: status.answered("Redis"),
        on_dropped=metrics.memories_dropped,
        memories_are_cache=isinstance(chosen, QueueSettings),
        now=status.clock.now,
    )
    world = World(
        tracker=tracker,
        compute=compute,
        store=store,
        clock=status.clock,
        rng=random.SystemRandom(),
        events=metrics,
    )
    patience = Patience(lease=chosen.lease_seconds)
    try:
        if isinstance(chosen, QueueSettings):
            yield Agent(_with_cvat(chosen, status, world, apart), status, chosen.shape_types, patience)
        else:
            agent = Reception(world, _decode, status, chosen.shape_types, patience)
            async with http_door.serve(
                agent.door, chosen.door_port, chosen.door_token_file, agent.fail
            ) as port:
                log.info("Calls are taken", extra={"port": port})
                yield agent
    finally:
        await store.close()


def _decode(image: bytes) -> NDArray[np.uint8]:
    return decode(image, "The image")


def _with_cvat(chosen: QueueSettings, status: Status, world: World, apart: SingleThread) -> QueueWorld:
    client = CVATClient(
        str(chosen.cvat_url),
        credentials_dir=chosen.cvat_credentials_dir,
        organization=chosen.cvat_organization,
        ca_file=chosen.cvat_ca_file,
        proxy_url=str(chosen.cvat_proxy_url) if chosen.cvat_proxy_url else None,
        on_answer=lambda: status.answered("CVAT"),
    )
    return QueueWorld(
        tracker=world.tracker,
        compute=world.compute,
        apart=apart,
        store=world.store,
        clock=world.clock,
        rng=world.rng,
        events=world.events,
        queue=CVATQueue(client, chosen.function_id, chosen.agent_id),
        frames=CVATFrames(client),
    )


def _redis_seconds(lease_seconds: float) -> float:
    """How long to wait for Redis: a call that hangs leaves time to renew the lease by another."""
    return min(10.0, max(1.0, lease_seconds / 3))


def _first(group: BaseExceptionGroup[GaveUp]) -> GaveUp:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found if isinstance(found, GaveUp) else GaveUp(str(found))


def _give_up(error: GaveUp, termination_file: Path) -> int:
    """Leave the reason where Kubernetes finds it; return the exit status."""
    log.error("The agent gives up: %s", error, extra={"reason": error.reason})
    message = str(error)
    while len(text := json.dumps({"reason": error.reason, "message": message})) > MAX_MESSAGE_BYTES:
        message = message[: len(message) // 2]
    try:
        termination_file.write_text(text, encoding="utf-8")
    except OSError:
        log.debug("There is no termination message file; the agent runs by hand")
    return error.exit_status


if __name__ == "__main__":
    exit_status = main()
    logging.shutdown()
    # Not sys.exit: it would wait for threads that may still download a model or wait for CVAT.
    os._exit(exit_status)
