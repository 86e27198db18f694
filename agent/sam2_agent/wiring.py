"""Putting the agent together, and running it."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from sam2_agent import VERSION
from sam2_agent.adapters import health, http_door
from sam2_agent.adapters.call_threads import CallThreads
from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.cvat_client import CVATClient
from sam2_agent.adapters.cvat_frames import CVATFrames
from sam2_agent.adapters.cvat_queue import CVATQueue
from sam2_agent.adapters.images import decode
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.model_process import ModelProcess
from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.adapters.single_thread import SingleThread
from sam2_agent.core.patience import Patience
from sam2_agent.core.status import PEERS, Status
from sam2_agent.core.tracking import Tracker
from sam2_agent.errors import GaveUp, ModelEnded
from sam2_agent.loop import Agent
from sam2_agent.reception import Reception
from sam2_agent.settings import QueueSettings, ServerlessSettings
from sam2_agent.world import QueueWorld, World

log = logging.getLogger("sam2_agent")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The first lets the request in hand be finished; the second leaves it to the successor at once."""


async def run(chosen: QueueSettings | ServerlessSettings, model: ModelProcess) -> None:
    """Answer health, wait for the model, serve; raises the `GaveUp` with which the agent cannot go on."""
    serverless = isinstance(chosen, ServerlessSettings)
    status = Status(VERSION, BootClock(), peers=("Redis",) if serverless else PEERS)
    metrics = Metrics(status, model.pid)
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
            loading = asyncio.ensure_future(compute(model.load))
            stopped = asyncio.ensure_future(stopping.wait())
            await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if stopping.is_set():
                loading.cancel()
                return
            tracker = loading.result()
            status.fingerprint = tracker.fingerprint
            log.info("The model is loaded", extra={"fingerprint": tracker.fingerprint})
            async with _agent(chosen, status, metrics, tracker, compute=compute, apart=apart) as agent:
                for number in STOP_SIGNALS:
                    loop.add_signal_handler(number, agent.stop)
                if stopping.is_set():  # by a signal that came before it was the agent's
                    agent.stop()
                watching = asyncio.ensure_future(_watch(model, agent))
                await agent.run()
                watching.cancel()
    except* GaveUp as group:
        raise _first(group) from group
    finally:
        model.close()
        compute.close()
        apart.close()


async def _watch(model: ModelProcess, agent: Agent | Reception) -> None:
    """Let the agent notice at once that its model has gone, and not when somebody asks."""
    try:
        await model.watch()
    except ModelEnded as ended:
        agent.fail(ended)
    except OSError:
        log.exception("The model's process cannot be watched; its end is noticed with the next request")


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
