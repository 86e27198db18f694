"""What the gateway adds to a call, and how fast it forwards: side by side with calls of the agent itself.

    python -m benchmarks.gateway

The agent only reads and answers, so that nothing but the way to it is measured. Calls by the gateway and
without it alternate, so that a slow moment of the machine falls on both. Caller, gateway and agent share the
machine; only ratios and CPU time are worth quoting.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import Gateway, gateway
from tests.ports import free_port

SIZES = (2_000, 300_000, 3_000_000)
CALLS = 100
LARGE = 50 * 2**20
STREAMS, ROUNDS = 4, 4

_AGENT = """
import sys
from aiohttp import web

async def answer(request):
    length = 0
    while piece := await request.content.readany():
        length += len(piece)
    return web.json_response({"shapes": [None], "states": [length]})

app = web.Application()
app.router.add_route("POST", "/{anything:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


def main() -> None:
    """Measure and print."""
    with standing() as (running, port):
        ways = {"agent": port, "gateway": running.port}
        for size in SIZES:
            body = os.urandom(size)
            took: dict[str, list[float]] = {way: [] for way in ways}
            before = cpu_seconds(running)
            for _ in range(CALLS):
                for way, each in ways.items():
                    took[way].append(timed(lambda each=each, body=body: call(each, port, body)))  # type: ignore[misc]
            cpu = (cpu_seconds(running) - before) / CALLS
            alone, by_gateway = (median(took[way]) * 1000 for way in ways)
            print(
                f"{size:>9,} bytes: {alone:6.2f} ms without, {by_gateway:6.2f} ms with the gateway "
                f"(+{by_gateway - alone:.2f} ms, {by_gateway / alone:.1f} times; {cpu * 1000:.1f} ms of CPU)"
            )
        large = os.urandom(LARGE)

        def stream(to: int) -> None:
            with ThreadPoolExecutor(STREAMS) as pool:
                list(pool.map(lambda _: call(to, port, large), range(STREAMS)))

        took = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, each in ways.items():
                took[way].append(timed(lambda each=each: stream(each)))  # type: ignore[misc]
        alone, by_gateway = (STREAMS * LARGE / median(took[way]) / 1e6 for way in ways)
        print(
            f"{STREAMS} streams of 50 MiB: {alone:.0f} MB/s without, {by_gateway:.0f} MB/s with the gateway"
        )
        print(f"most memory of the gateway: {running.memory() / 2**20:.0f} MiB")


@contextmanager
def standing() -> Iterator[tuple[Gateway, int]]:
    """A gateway, and the port of its agent."""
    port = free_port()
    agent = subprocess.Popen([sys.executable, "-c", _AGENT, str(port)])
    try:
        with tempfile.TemporaryDirectory() as folder, Kubernetes() as kubernetes:
            kubernetes.trackers = [tracker(str(port))]
            path = Path(folder)
            with gateway(kubernetes.kubeconfig(path), path, INTERVAL_SECONDS="60") as running:
                wait_for(running.is_ready, "the gateway", within=60)
                wait_for(lambda: running.invoke(f"lab.{port}").status == 200, "the agent")
                yield running, port
    finally:
        agent.kill()
        agent.wait()


def call(port: int, agent: int, body: bytes) -> None:
    """Call as CVAT does: a connection for each call."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"x-nuclio-function-name": f"lab.{agent}", "X-Nuclio-Invoke-Timeout": "60s"}
    connection.request("POST", "/api/function_invocations", body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())
    answer.read()
    connection.close()


def timed(work: Callable[[], object]) -> float:
    """The seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_seconds(running: Gateway) -> float:
    """Processor time that the gateway has used."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
