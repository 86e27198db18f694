"""Agents that start fast: one process has imported all that an agent needs, and forks a process for each.

A fresh `python -m sam2_agent` spends most of its start importing torch, sam2 and cvat_sdk.  A forked one runs
the same program, `sam2_agent.__main__` as `__main__`, with an environment, a session and a log file of its
own; it can be killed, stopped and waited for like any process.

    tests ──spawn, reap──► nursery ──fork──► agent ──fork──► its model's process
                             (single-threaded: no thread is lost in a fork)

The nursery ends when the tests' end of its socket closes, and its children are killed when it ends.
What a library reads when it is loaded (OMP_NUM_THREADS and its like) is the nursery's, so there is one
for each number of threads that is asked for.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from sam2_agent.adapters import model_process
from tests.forked_model import ForkedModel

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables that libraries read when they are loaded; children share the nursery's."""

_IMPORTED = (
    "sam2_agent.__main__",
    "sam2_agent.wiring",
    "sam2_agent.model",
    "sam2_agent.adapters.sam2_build",
    "sam2_agent.adapters.sam2_tracker",
)
_IMPORTED_WHOLE = ("sam2.modeling",)
"""Packages whose modules a model's config names, so that only building a model would import them."""

_PR_SET_PDEATHSIG = 1
_START_SECONDS = 120.0


class Spawn(BaseModel):
    """Fork an agent with this environment; its output is appended to `log`."""

    model_config = ConfigDict(extra="forbid")

    what: Literal["spawn"] = "spawn"
    environment: dict[str, str]
    log: Path


class Reap(BaseModel):
    """Give the exit status of a child that has ended, and forget it."""

    model_config = ConfigDict(extra="forbid")

    what: Literal["reap"] = "reap"
    pid: int


_ORDER: TypeAdapter[Spawn | Reap] = TypeAdapter(Spawn | Reap)


class Child:
    """A forked agent, with what tests use of `subprocess.Popen`."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._descriptor = os.pidfd_open(pid)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        with self._lock:
            if self.returncode is None and self.ended(0):
                self.returncode = self._nursery.reap(self.pid)
                os.close(self._descriptor)
            return self.returncode

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end; raises `subprocess.TimeoutExpired`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (status := self.poll()) is None:
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired("sam2_agent", seconds or 0.0)
            self.ended(min(left, 1.0))
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        with self._lock:
            if self.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)

    def ended(self, seconds: float) -> bool:
        """Whether the process ends within that time."""
        with contextlib.suppress(OSError, ValueError):  # closed by another thread, which knows the end
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(1000 * seconds))
        return True


class Nursery:
    """The tests' handle on the process that forks."""

    def __init__(self, threads: Mapping[str, str]) -> None:
        """`threads` are those of the variables `THREADS` that are set."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._threads = dict(threads)
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SAM2_AGENT_")
        }
        environment |= {
            "PYTHONPATH": os.pathsep.join(sys.path),
            # As the agent itself sets it before it imports torch.
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
            "OPENBLAS_NUM_THREADS": "1",  # its threads would be lost in a fork
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket = ours
        self._socket.settimeout(_START_SECONDS)
        self._lock = threading.Lock()

    def spawn(self, environment: Mapping[str, str], log: Path) -> Child:
        """Start an agent."""
        if (asked := threads_of(environment)) != self._threads:
            raise ValueError(f"the nursery has {self._threads}, and not {asked}")
        return Child(self, self._ask(Spawn(environment=dict(environment), log=log)))

    def reap(self, pid: int) -> int:
        """Return the exit status of a child that has ended, as `subprocess` tells it."""
        return os.waitstatus_to_exitcode(self._ask(Reap(pid=pid)))

    def close(self) -> None:
        """End the nursery and with it all its children."""
        self._socket.close()
        self._process.wait()

    def _ask(self, order: Spawn | Reap) -> int:
        with self._lock:
            self._socket.send(order.model_dump_json().encode())
            answer = self._socket.recv(4096)
        if not answer:
            raise RuntimeError(f"the nursery has ended with status {self._process.wait()}")
        return int(answer)


def threads_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What an environment says of threads."""
    return {name: environment[name] for name in THREADS if name in environment}


def spawn(environment: Mapping[str, str], log: Path) -> Child:
    """Start an agent from the nursery with its threads, which is started on first use."""
    threads = threads_of(environment)
    with _starting:
        nursery = _nurseries.get(key := tuple(threads.items()))
        if nursery is None:
            nursery = _nurseries[key] = Nursery(threads)
            atexit.register(nursery.close)
    return nursery.spawn(environment, log)


_starting = threading.Lock()
_nurseries: dict[tuple[tuple[str, str], ...], Nursery] = {}


def main(descriptor: int) -> None:
    """Import, then fork a child for each order until the tests have gone."""
    for name in _IMPORTED:
        importlib.import_module(name)
    for package in _IMPORTED_WHOLE:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            importlib.import_module(module.name)
    del sys.modules["sam2_agent.__main__"]  # each child runs it anew
    gc.freeze()
    with socket.socket(fileno=descriptor) as orders:
        while data := orders.recv(1 << 20):
            order = _ORDER.validate_json(data)
            if isinstance(order, Spawn):
                orders.send(str(_spawn(order, orders)).encode())
            else:
                orders.send(str(os.waitpid(order.pid, 0)[1]).encode())


def _spawn(order: Spawn, orders: socket.socket) -> int:
    """Fork an agent, and return its process id when it can no longer outlive this process."""
    if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
        raise RuntimeError(f"a fork would lose {threads - 1} threads")
    nursery_pid = os.getpid()
    tied, tell_tied = os.pipe()
    if (pid := os.fork()) == 0:
        orders.close()
        os.close(tied)
        _become_agent(order, nursery_pid, tell_tied)
    os.close(tell_tied)
    os.read(tied, 1)
    os.close(tied)
    return pid


def _become_agent(order: Spawn, nursery_pid: int, tell_tied: int) -> None:
    """Run as `python -m sam2_agent` would; never returns."""
    try:
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != nursery_pid:  # it ended before its end would have been told
            os._exit(1)
        os.setsid()
        os.close(tell_tied)
        log = os.open(order.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = ["sam2_agent"]
        model_process.launch = ForkedModel
        runpy.run_module("sam2_agent", run_name="__main__", alter_sys=True)
    except BaseException:  # noqa: BLE001  (the nursery's own loop must never go on in a child)
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)  # taking torch down takes a second, for which children would live on
