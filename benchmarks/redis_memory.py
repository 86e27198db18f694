"""What tracks cost in Redis: bytes per live object and per frame, for 1, 8 and 32 objects over 1,000 frames.

    python -m benchmarks.redis_memory [FRAMES]

The agent runs with a real Redis and a tracker that computes nothing, whose records have the size of the
published models' and whose masks have outlines as real objects do: so it takes minutes, not hours.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import redis
from pydantic import JsonValue

from sam2_agent.adapters.clock import BootClock
from sam2_agent.adapters.metrics import Metrics
from sam2_agent.adapters.redis_connection import connect
from sam2_agent.adapters.redis_store import RedisStore
from sam2_agent.adapters.single_thread import SingleThread
from sam2_agent.core.patience import Patience
from sam2_agent.core.status import Status
from sam2_agent.loop import Agent
from sam2_agent.world import QueueWorld
from tests.cvat_standin.shapes import Shape
from tests.integration.agent.redis_faults.line import Line
from tests.redis_server import RedisServer
from tests.sized_tracker import SizedTracker

OBJECTS = (1, 8, 32)
FRAMES = 1000
PREFIX = "s2t:{memory}:"
LOOK_EVERY = 50
RESULTS = Path(__file__).parent / "results" / "redis_memory.json"


@dataclass(frozen=True, slots=True)
class Row:
    """What was found in Redis; bytes as its MEMORY USAGE and INFO count them."""

    objects: int
    frames: int
    answer_bytes: float
    """Of an object on a frame, mean."""
    largest_answer_bytes: int
    memory_bytes: float
    """Of an object on a frame, mean."""
    memories_per_object: float
    """At most at any look, of live objects."""
    live_object_bytes: float
    """All memories of one live object."""
    init_bytes: float
    """The states of an init, for each object."""
    used_bytes: int
    """By which Redis grew in all."""


async def measure(objects: int, frames: int, *, look_every: int = LOOK_EVERY) -> Row:
    """Track `objects` over `frames` frames and look into Redis now and then."""
    with _redis() as server, server.client() as client:
        empty = _used(client)
        line = Line(frames)
        most = 0
        async with _serving(server, line):
            shapes: JsonValue = [Shape.mask(SizedTracker().mask()).to_json()] * objects
            answer = await line.ask(type="init_tracking", frame=0, shapes=shapes)
            for frame in range(1, frames):
                answer = await line.ask(type="track", frame=frame, states=answer["states"])
                if frame % look_every == 0:
                    most = max(most, sum(1 for _ in client.scan_iter(f"{PREFIX}memory:*", count=1000)))
        return _row(client, objects, frames, most, _used(client) - empty)


@contextmanager
def _redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def _serving(server: RedisServer, line: Line) -> AsyncIterator[None]:
    """Run the agent; when it ends, what it writes behind is written."""
    status = Status("benchmark", BootClock())
    metrics = Metrics(status)
    compute, apart = SingleThread("model"), SingleThread("apart")
    store = RedisStore(
        connect(server.url, None),
        prefix=PREFIX,
        holder="benchmark",
        state_seconds=28_800,
        memory_seconds=900,
        on_answer=lambda: status.answered("Redis"),
    )
    world = QueueWorld(
        tracker=SizedTracker(),
        compute=compute,
        apart=apart,
        queue=line,
        frames=line,
        store=store,
        clock=status.clock,
        rng=random.SystemRandom(),
        events=metrics,
    )
    agent = Agent(world, status, frozenset({"mask"}), Patience())
    running = asyncio.ensure_future(agent.run())
    try:
        yield
    finally:
        agent.stop()
        await running
        await store.close()
        compute.close()
        apart.close()


def _row(client: redis.Redis, objects: int, frames: int, most: int, used: int) -> Row:
    sizes = {
        kind: [
            int(client.memory_usage(key, samples=0) or 0)
            for key in itertools.islice(client.scan_iter(f"{PREFIX}{kind}:*", count=1000), 2000)
        ]
        for kind in ("answer", "memory", "init")
    }
    return Row(
        objects=objects,
        frames=frames,
        answer_bytes=round(mean(sizes["answer"]), 1),
        largest_answer_bytes=max(sizes["answer"]),
        memory_bytes=round(mean(sizes["memory"]), 1),
        memories_per_object=most / objects,
        live_object_bytes=round(sum(sizes["memory"]) / objects, 1),
        init_bytes=round(sum(sizes["init"]) / objects, 1),
        used_bytes=used,
    )


def _used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def main(arguments: Sequence[str]) -> None:
    """Measure, print a table and write `RESULTS`."""
    frames = int(arguments[0]) if arguments else FRAMES
    heads = f"{'objects':>8} {'answer':>8} {'memories':>9} {'live object':>12} {'in all':>9}"
    print(f"{heads}   over {frames} frames", flush=True)
    rows = []
    for objects in OBJECTS:
        row = asyncio.run(measure(objects, frames))
        rows.append(row)
        print(
            f"{objects:>8} {row.answer_bytes / 1024:>5.2f} KB {row.memories_per_object:>9.1f} "
            f"{row.live_object_bytes / 2**20:>9.2f} MB {row.used_bytes / 2**20:>6.1f} MB",
            flush=True,
        )
    RESULTS.parent.mkdir(exist_ok=True)
    written = {"date": time.strftime("%Y-%m-%d"), "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
