"""The whole operator, watches and all, in processes that are killed and started again as by a Deployment."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

import yaml
from kubernetes.config import kube_config

from sam2_operator import __main__ as whole
from sam2_operator.core import settlement
from tests.controlplane.crashpoints.process import AGENT_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.context import ForkServerProcess

    from tests.controlplane.crashpoints.process import Places

_FORKS = multiprocessing.get_context("forkserver")
_RESTARTED_AFTER_SECONDS = 0.2
HURRIED = {"INTERVAL_SECONDS": "4", "AGENT_INTERVAL_SECONDS": "1"}
"""A pace at which a test need not wait long for what no event tells."""
SHORT_SETTLE_SECONDS = 3.0


@dataclass
class Supervised(AbstractContextManager["Supervised"]):
    """One operator; a process that ends is followed by another.

    Attributes:
        settings: variables of the operator, without prefix.
        settle_seconds: how late CVAT may list functions; None is as the operator has it.
        log: where the processes write.
    """

    settings: dict[str, str]
    log: Path
    settle_seconds: float | None = None
    starts: int = 0
    _process: ForkServerProcess | None = None
    _lock: Lock = field(default_factory=Lock)
    _ended: Event = field(default_factory=Event)

    def __enter__(self) -> Self:
        self._start()
        self._thread = Thread(target=self._supervise, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL; another process follows."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.join()

    def _start(self) -> None:
        with self._lock:
            self.starts += 1
            settings = {"INSTANCE": f"operator-{self.starts}", **self.settings}
            self._process = _FORKS.Process(
                target=_operate, args=(settings, str(self.log), self.settle_seconds), daemon=True
            )
            self._process.start()

    def _supervise(self) -> None:
        while not self._ended.wait(_RESTARTED_AFTER_SECONDS):
            if self._process is not None and not self._process.is_alive():
                self._start()


@contextmanager
def supervised(
    places: Places,
    namespace: str,
    folder: Path,
    settings: Mapping[str, str],
    *,
    count: int = 1,
    settle_seconds: float | None = None,
) -> Iterator[list[Supervised]]:
    """Run operators of one namespace."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(places.kubernetes)))
    password = folder / "password"
    password.write_text(places.redis_password)
    usual = {
        "KUBECONFIG": str(kubeconfig),
        "HTTP_PORT": "0",
        "NAMESPACES": namespace,
        "AGENT_IMAGE": AGENT_IMAGE,
        "REDIS_URL": places.redis,
        "REDIS_PASSWORD_FILE": str(password),
        **settings,
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(Supervised(usual, folder / f"operator-{number}.log", settle_seconds))
            for number in range(count)
        ]


def _operate(settings: dict[str, str], log: str, settle_seconds: float | None) -> None:
    """Be the process: `python -m sam2_operator` with an environment and nowhere else to write."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, sys.stdout.fileno())
    os.dup2(output, sys.stderr.fileno())
    for name in [name for name in os.environ if name.startswith("SAM2_")]:
        del os.environ[name]
    # The client has read the environment when it was imported, before the fork.
    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = settings.pop("KUBECONFIG")
    os.environ.update({f"SAM2_OPERATOR_{name}": value for name, value in settings.items()})
    if settle_seconds is not None:
        _settle_within(timedelta(seconds=settle_seconds))
    status = whole.main([])
    logging.shutdown()
    os._exit(status)


def _settle_within(time: timedelta) -> None:
    """Change how late CVAT may list functions, in each module that goes by it."""
    using = [
        module
        for name, module in sys.modules.items()
        if name.startswith("sam2_operator.") and "SETTLE" in vars(module)
    ]
    assert settlement in using
    for module in using:
        vars(module)["SETTLE"] = time


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "relay", "cluster": {"server": server}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "nobody"}}],
        "current-context": "relay",
    }
