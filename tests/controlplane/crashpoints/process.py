"""An operator in a process of its own, forked from one that has imported everything, and killed for real."""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import kubernetes

from sam2_operator.adapters.kube.api import KubeApi
from sam2_operator.adapters.statestore import Administrator, RedisStateStore
from sam2_operator.errors import OperatorError
from sam2_operator.settings import Settings
from tests.controlplane.harness import Operator

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])
_PATIENCE_SECONDS = 60.0
AGENT_IMAGE = "sam2-tracker-agent:test"


class ProcessDiedError(Exception):
    """The operator was killed."""


class HangsError(Exception):
    """A reconcile does not end, or ends by an error that the operator does not know."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where an operator finds what it works with."""

    kubernetes: str
    redis: str
    redis_password: str


class OperatorProcess:
    """Reconciles one tracker when it is told to, at the time that it is told."""

    def __init__(self, places: Places, instance: str) -> None:
        self._connection, theirs = _FORKS.Pipe()
        self._process: ForkServerProcess = _FORKS.Process(
            target=_operate, args=(theirs, places, instance), daemon=True
        )
        self._process.start()
        theirs.close()

    def reconcile(self, namespace: str, name: str, offset: float) -> str | None:
        """Reconcile once, `offset` seconds from now; give the error, if one ended it.

        Raises:
            ProcessDiedError: the process was killed meanwhile, or before.
            HangsError: it does not end, or by an error that the operator does not know.
        """
        try:
            self._connection.send((namespace, name, offset))
            if not self._connection.poll(_PATIENCE_SECONDS):
                raise HangsError(f"a reconcile of {namespace}/{name} takes over {_PATIENCE_SECONDS:g} s")
            said = self._connection.recv()
        except (EOFError, OSError) as error:
            raise ProcessDiedError from error
        if said is not None and not said[0]:
            raise HangsError(f"a reconcile of {namespace}/{name} fails: {said[1]}")
        return None if said is None else str(said[1])

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _operate(connection: Connection, places: Places, instance: str) -> None:
    api = KubeApi.of(kubernetes.client.Configuration(host=places.kubernetes))
    store = RedisStateStore(
        Administrator(places.redis, lambda: places.redis_password, lambda: None, manages_users=True)
    )
    operator = Operator.start(Settings(agent_image=AGENT_IMAGE), api, store, instance)
    with suppress(EOFError):
        while True:
            namespace, name, offset = connection.recv()
            operator.clock.set(offset)
            connection.send(_said(operator, namespace, name))


def _said(operator: Operator, namespace: str, name: str) -> tuple[bool, str] | None:
    """Give None, an error that the operator knows, or one that it must not have."""
    try:
        operator.reconcile(namespace, name)
    except OperatorError as error:
        return True, str(error)
    except Exception as error:  # noqa: BLE001 - told to the test, which fails
        return False, repr(error)
    return None
