"""Whoever hangs, the trackers that have nothing to do with it are looked at in time."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from sam2_operator import wiring
from sam2_operator.adapters import agents as http_agents
from sam2_operator.adapters import redis_clients
from sam2_operator.adapters.agents import HttpAgents
from sam2_operator.adapters.clock import SystemClock
from sam2_operator.adapters.cvat.sdk import SdkCvat
from sam2_operator.core.environment import PORT
from sam2_operator.core.outcome import Outcome
from sam2_operator.driver import Driver, Key
from sam2_operator.pace import Pace
from sam2_operator.settings import Settings
from tests.controlplane import situations
from tests.controlplane.agents import SpeakingAgent
from tests.controlplane.harness import Namespace, Operator
from tests.controlplane.situations import Outcomes
from tests.unit.operator.build import pod

if TYPE_CHECKING:
    from tests.cvat_standin.client import CVAT

WORKERS = Settings().workers
HANGING = 20
LOOKS = 4
"""How often the good tracker is looked at while the others hang."""
WITHIN = 30.0
"""Seconds for that. Were all threads taken, each look would have to wait ten seconds or more."""
ABSENT = (
    b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"kind":"Status"}'
)


@contextmanager
def silent(
    stop: threading.Event, address: tuple[str, int] = ("127.0.0.1", 0), *, answer_after: float | None = None
) -> Iterator[int]:
    """A server that never answers, or after so many seconds; gives its port."""

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while connection.recv(65536) and not stop.wait(answer_after):
                    connection.sendall(ABSENT)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(address, backlog=256) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        stop.set()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@asynccontextmanager
async def driving(
    reconcile: Callable[[str, str], Outcome], names: list[Key], *, agent_interval: float = 2.0
) -> AsyncIterator[tuple[Driver, Counter[str]]]:
    """A driver with the usual number of threads; counts the ends of reconciles by name."""
    looked: Counter[str] = Counter()

    def look(namespace: str, name: str) -> Outcome:
        try:
            return reconcile(namespace, name)
        finally:
            looked.update([name])

    with ThreadPoolExecutor(WORKERS + 1) as threads:
        driver = Driver(
            reconcile=look,
            serves=lambda _: True,
            scopes=[lambda: names],
            observe=lambda *_: None,
            executor=threads,
            workers=WORKERS,
            pace=Pace(60.0, agent_interval),
            random=random.Random(1),
        )
        running = asyncio.create_task(driver.run())
        try:
            yield driver, looked
        finally:
            driver.stop()
            await running


async def goes_on(driver: Driver, looked: Counter[str], good: str, others: list[str]) -> None:
    """See the good tracker looked at again and again, once each of the others has been met."""
    async with asyncio.timeout(120):
        while not all(looked[name] for name in others):  # noqa: ASYNC110 - it happens in threads
            await asyncio.sleep(0.05)
    before, began = looked[good], time.monotonic()
    while looked[good] < before + LOOKS:
        assert time.monotonic() - began < WITHIN, f"{looked[good] - before} looks"
        assert driver.stuck() is None
        await asyncio.sleep(0.05)


def told(situation: str) -> None:
    outcomes = situations.add(situation, Outcomes(tried=1, converged=1))
    assert outcomes.good


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.controlplane
@pytest.mark.slow
@pytest.mark.parametrize("answer_after", [None, 5.0], ids=["silent", "slow"])
async def test_a_cvat_that_hangs_holds_up_its_own_trackers_only(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    stop: threading.Event,
    *,
    answer_after: float | None,
) -> None:
    operator.world = wiring.World(
        **{**_parts(operator.world), "cvat": SdkCvat(SystemClock(), seconds=(1.0, 6.0), slow_seconds=1.0)}
    )
    operator.restart()
    with silent(stop, answer_after=answer_after) as port:
        bad = [f"bad{number}" for number in range(HANGING)]
        for name in bad:
            namespace.make_secret(name, token=f"token-of-{name}")
            namespace.apply_tracker(
                f"http://127.0.0.1:{port}",
                name,
                cvat={"url": f"http://127.0.0.1:{port}", "credentialsSecretRef": {"name": name}},
            )
        namespace.apply_tracker(annotation.url)
        names = [(namespace.name, name) for name in (*bad, "cars")]
        async with driving(operator.reconciler.reconcile, names) as (driver, looked):
            await goes_on(driver, looked, "cars", bad)
            assert namespace.condition("FunctionRegistered")["status"] == "True"
            stop.set()
    told(f"CVAT of {HANGING} other trackers {'never answers' if answer_after is None else 'answers slowly'}")
    operator.world.cvat.close()


@pytest.mark.controlplane
@pytest.mark.slow
async def test_redis_servers_that_hang_hold_up_their_own_trackers_only(
    annotation: CVAT,
    namespace: Namespace,
    operator: Operator,
    stop: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_clients, "_SECONDS", 2.0)  # twice, for it is tried once more
    with ExitStack() as servers:
        bad = [f"bad{number}" for number in range(HANGING)]
        for name in bad:
            port = servers.enter_context(silent(stop))
            namespace.apply_tracker(annotation.url, name, state={"url": f"redis://127.0.0.1:{port}/0"})
        namespace.apply_tracker(annotation.url)
        names = [(namespace.name, name) for name in (*bad, "cars")]
        async with driving(operator.reconciler.reconcile, names) as (driver, looked):
            await goes_on(driver, looked, "cars", bad)
            assert namespace.condition("StateStoreReachable")["status"] == "True"
            assert namespace.condition("StateStoreReachable", "bad0")["reason"] == "RedisUnreachable"
            stop.set()
    told(f"the Redis of each of {HANGING} other trackers never answers")


async def test_the_loss_of_200_agents_holds_up_no_other(
    agent: Callable[[], SpeakingAgent], stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_agents, "_TIMEOUT", 0.5)
    monkeypatch.setattr(http_agents, "_SLOW_SECONDS", 0.4)
    agents = HttpAgents(SystemClock(), slots=WORKERS // 4)
    bad = [f"bad{number}" for number in range(200)]
    speaking = agent()
    lost = f"127.{os.getpid() % 250 + 1}.251.1"
    with silent(stop, (lost, PORT)):

        def reconcile(_: str, name: str) -> Outcome:
            report = agents.report(pod(uid=name, ip=speaking.address if name == "good" else lost))
            assert report is not None
            return Outcome(exists=True, ready=False)

        names = [("lab", name) for name in (*bad, "good")]
        async with driving(reconcile, names) as (driver, looked):
            await goes_on(driver, looked, "good", bad)
            report = agents.report(pod(uid="good", ip=speaking.address))
            assert report is not None
            assert report.ready
            stop.set()
    told("200 agents never answer")


def _parts(world: wiring.World) -> dict[str, Any]:
    return {name: getattr(world, name) for name in wiring.World.__slots__}
