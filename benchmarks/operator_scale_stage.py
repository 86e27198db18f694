"""The stage of `operator_scale`: a control plane, a kubelet's part of the work, Redis, CVAT, talking agents.

Everything that the operator meets is real or answers for real: etcd, kube-apiserver, controller-manager and
scheduler; Redis with users; the CVAT stand-in in a process of its own. Only pods do not run: a node that is
none binds them, and each is given an address at which an agent's status can be read.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes

from sam2_operator.adapters.kube.api import MERGE, KubeApi
from sam2_operator.api import PLURAL
from sam2_operator.core.environment import PORT
from sam2_operator.errors import KubernetesError
from tests.cluster import binaries
from tests.cluster.controlplane import ControlPlane, Ports
from tests.cluster.processes import Processes
from tests.controlplane.agents import SERVING, running
from tests.controlplane.harness import tracker_manifest
from tests.controlplane.surroundings import REPOSITORY, apply_crd, redis_with_users
from tests.cvat_standin.client import CVAT
from tests.redis_server import RedisServer

TRACKERS = "/apis/sam2.dev/v1alpha1"
NODE = "bench-node"
BENCH = "operator-scale-bench"
_THREADS = 8
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_SPEECH = json.dumps(SERVING).encode()


@dataclass(frozen=True, slots=True)
class Stage:
    """What stands around the operator."""

    folder: Path
    plane: ControlPlane
    api: KubeApi
    redis: RedisServer
    cvat: CVAT
    cvat_pid: int

    def populate(self, namespace: str, trackers: int, accounts: Sequence[str]) -> None:
        """Make a namespace with trackers, dealt out to accounts in turn."""
        self.api.call("POST", "/api/v1/namespaces", body={"metadata": {"name": namespace}})
        for account in accounts:
            token = self.cvat.add_user(account).token
            secret = {"metadata": {"name": account}, "data": {"token": b64encode(token.encode()).decode()}}
            self.api.call("POST", f"/api/v1/namespaces/{namespace}/secrets", body=secret)

        def make(number: int) -> None:
            secret = {"name": accounts[number % len(accounts)]}
            manifest = tracker_manifest(
                namespace,
                self.cvat.url,
                f"t{number:04}",
                cvat={"url": self.cvat.url, "credentialsSecretRef": secret},
            )
            self.api.call("POST", f"{TRACKERS}/namespaces/{namespace}/{PLURAL}", body=manifest)

        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(make, range(trackers)))

    def ready(self, namespace: str) -> int:
        """Count the trackers that are ready."""
        live = self.api.pages(f"{TRACKERS}/namespaces/{namespace}/{PLURAL}")
        return sum(_is_ready(each) for each in live)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Set the stage; all of it ends with the context."""
    binaries.ensure(binaries.CONTROL_PLANE)
    with ExitStack() as stack:
        redis = stack.enter_context(redis_with_users(_made(folder / "redis")))
        cvat, cvat_pid = stack.enter_context(_cvat())
        # The controllers' usual 20 requests a second would be what is measured.
        place = _made(folder / "plane")
        plane = ControlPlane(
            place, Processes(place, die_with_parent=True), ports=Ports.free(), client_rate=1000
        )
        stack.callback(plane.stop)
        plane.start()
        apply_crd(plane.kubectl)
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(plane.files.kubeconfig), client_configuration=configuration)
        configuration.connection_pool_maxsize = 2 * _THREADS
        api = KubeApi.of(configuration)
        api.client.user_agent = BENCH
        stack.callback(api.client.rest_client.pool_manager.clear)
        stack.enter_context(_kubelet(api))
        yield Stage(folder, plane, api, redis, cvat, cvat_pid)


@contextmanager
def _cvat() -> Iterator[tuple[CVAT, int]]:
    command = [sys.executable, "-m", "tests.cvat_standin", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert process.stdout is not None  # noqa: S101 - as asked for
    try:
        first = process.stdout.readline()
        found = re.search(r"http://\S+", first)
        if found is None:
            raise RuntimeError(f"The CVAT stand-in did not start: {first!r}")
        # Its line for each call would fill the pipe.
        threading.Thread(target=lambda stream: [None for _ in stream], args=(process.stdout,)).start()
        yield CVAT(found[0]), process.pid
    finally:
        process.terminate()
        process.wait(10)


# The kubelet's part


@contextmanager
def _kubelet(api: KubeApi) -> Iterator[None]:
    """Keep a node alive, and say of each pod bound to it that it runs."""
    stop = threading.Event()
    run_already: set[str] = set()
    with _agents() as addresses:
        _make_node(api)
        threads = [
            threading.Thread(target=_every, args=(stop, 10.0, lambda: _renew(api))),
            threading.Thread(target=_every, args=(stop, 0.3, lambda: _run_pods(api, addresses, run_already))),
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _every(stop: threading.Event, seconds: float, act: Any) -> None:
    while not stop.wait(seconds):
        try:
            act()
        except KubernetesError as error:
            if not stop.is_set():
                print(error, file=sys.stderr)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")  # noqa: TID251 - a lease's


def _make_node(api: KubeApi) -> None:
    size = {"cpu": "1000000", "memory": "1000Ti", "pods": "100000"}
    api.call("POST", "/api/v1/nodes", body={"metadata": {"name": NODE}})
    lease = {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": _now()}
    api.call("POST", _LEASES, body={"metadata": {"name": NODE}, "spec": lease})
    condition = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    status = {"capacity": size, "allocatable": size, "conditions": [condition]}
    api.call("PATCH", f"/api/v1/nodes/{NODE}/status", body={"status": status}, content_type=MERGE)


def _renew(api: KubeApi) -> None:
    api.call("PATCH", f"{_LEASES}/{NODE}", body={"spec": {"renewTime": _now()}}, content_type=MERGE)


def _run_pods(api: KubeApi, addresses: Iterator[str], run_already: set[str]) -> None:
    # From the API server's cache, which may be late: the bench itself is to cost the same for many.
    selector = f"status.phase=Pending,spec.nodeName={NODE}"
    listed = api.pages("/api/v1/pods", fieldSelector=selector, resourceVersion="0")
    pending = [pod for pod in listed if pod["metadata"]["uid"] not in run_already]

    def run(pod: dict[str, Any], address: str) -> None:
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status"
        api.call("PATCH", path, body={"status": running(address)}, content_type=MERGE)
        run_already.add(pod["metadata"]["uid"])

    with ThreadPoolExecutor(_THREADS // 2) as threads:
        list(threads.map(run, pending, addresses))


# The agents


@contextmanager
def _agents() -> Iterator[Iterator[str]]:
    """Agents that all say that they serve; gives addresses, each of an agent of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="agents")
    thread.start()
    network = 100 + os.getpid() % 100

    def addresses() -> Iterator[str]:
        for number in range(60_000):
            address = f"127.{network}.{number // 250}.{number % 250 + 2}"
            asyncio.run_coroutine_threadsafe(asyncio.start_server(_speak, address, PORT), loop).result()
            yield address

    try:
        yield addresses()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(_SPEECH)}\r\n\r\n".encode()
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(head + _SPEECH)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _is_ready(tracker: dict[str, Any]) -> bool:
    conditions: Iterable[dict[str, str]] = tracker.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
