"""What the gateway adds to a call, and how fast it forwards: beside its agent alone, and beside a bare relay.

    python -m benchmarks.gateway

The agent only reads and answers, so that nothing but the way to it is measured. The relay copies bytes from
socket to socket and looks at none of them: what it adds, every process in between does. The three ways take
turns, so that a slow moment of the machine falls on all, and of each the fastest tenth counts, for other work
can only add. They share the machine with their caller; only ratios and CPU time are worth quoting.
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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cvat_standin.waiting import wait_for
from tests.integration.gateway.kubernetes import Kubernetes, tracker
from tests.integration.gateway.process import Gateway, gateway
from tests.ports import free_ports

SIZES = (2_000, 300_000, 3_000_000)
CALLS = 200
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

_RELAY = """
import socket, sys, threading

def pump(source, target):
    piece = memoryview(bytearray(2**18))
    while length := source.recv_into(piece):
        target.sendall(piece[:length])
    target.shutdown(socket.SHUT_WR)

def relay(caller):
    with caller, socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as agent:
        back = threading.Thread(target=pump, args=(agent, caller))
        back.start()
        pump(caller, agent)
        back.join()

with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        threading.Thread(target=relay, args=(server.accept()[0],)).start()
"""


@dataclass(frozen=True)
class Way:
    """One way to the agent."""

    name: str
    port: int
    agent: int
    """Port of the agent, after which its tracker is named."""
    process: subprocess.Popen[bytes]

    def call(self, body: bytes) -> None:
        """Call as CVAT does: a connection for each call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"x-nuclio-function-name": f"lab.{self.agent}", "X-Nuclio-Invoke-Timeout": "60s"}
        connection.request("POST", "/api/function_invocations", body, headers)
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read().decode())
        answer.read()
        connection.close()

    def streams(self, body: bytes) -> None:
        """Call several times at once."""
        with ThreadPoolExecutor(STREAMS) as pool:
            list(pool.map(self.call, [body] * STREAMS))

    def is_open(self) -> bool:
        """Whether it answers."""
        try:
            self.call(b"{}")
        except (OSError, RuntimeError):
            return False
        return True

    def cpu_seconds(self) -> float:
        """Processor time that its process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    with standing() as (ways, running):
        for size in SIZES:
            compare_calls(ways, os.urandom(size))
        compare_streams(ways, os.urandom(LARGE))
        print(f"most memory of the gateway: {running.memory() / 2**20:.0f} MiB")


def compare_calls(ways: list[Way], body: bytes) -> None:
    """Print what each way adds to a call of the agent, the first of the ways."""
    cpu = {way.name: -way.cpu_seconds() for way in ways}
    took = in_turns(ways, lambda way: way.call(body), CALLS)
    cpu = {way.name: (cpu[way.name] + way.cpu_seconds()) / CALLS * 1000 for way in ways}
    alone, *others = ways
    base = took[alone.name]
    print(f"{len(body):>9,} bytes: {base * 1000:6.2f} ms without")
    for way in others:
        added = took[way.name] - base
        print(
            f"{way.name:>16}: +{added * 1000:.2f} ms, {took[way.name] / base:.1f} times; "
            f"{cpu[way.name]:.1f} ms of CPU"
        )


def compare_streams(ways: list[Way], body: bytes) -> None:
    """Print how much each way forwards."""
    took = in_turns(ways, lambda way: way.streams(body), ROUNDS)
    rates = ", ".join(f"{name} {STREAMS * len(body) / each / 1e6:.0f} MB/s" for name, each in took.items())
    print(f"{STREAMS} streams of {len(body) >> 20} MiB: {rates}")


def in_turns(ways: list[Way], work: Callable[[Way], None], rounds: int) -> dict[str, float]:
    """Give the seconds by each way, by its name, that the fastest tenth takes at most."""
    took: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            began = time.perf_counter()
            work(way)
            took[way.name].append(time.perf_counter() - began)
    return {name: sorted(each)[rounds // 10] for name, each in took.items()}


@contextmanager
def standing() -> Iterator[tuple[list[Way], Gateway]]:
    """Three ways to one agent: straight, by the gateway, by the relay."""
    agent, relay = free_ports(2)
    with ExitStack() as stack:
        serves = stack.enter_context(_script(_AGENT, agent))
        relays = stack.enter_context(_script(_RELAY, relay, agent))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kubernetes = stack.enter_context(Kubernetes())
        kubernetes.trackers = [tracker(str(agent))]
        kubeconfig = kubernetes.kubeconfig(folder)
        running = stack.enter_context(gateway(kubeconfig, folder, INTERVAL_SECONDS="60"))
        wait_for(running.is_ready, "the gateway", within=60)
        ways = [
            Way("agent", agent, agent, serves),
            Way("gateway", running.port, agent, running.process),
            Way("bare relay", relay, agent, relays),
        ]
        for way in ways:
            wait_for(way.is_open, f"the {way.name}", within=60)
        yield ways, running


@contextmanager
def _script(source: str, *ports: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", source, *map(str, ports)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
