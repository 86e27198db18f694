"""The demo's cluster: one that was named, or the local one, which ends with the demo unless it was up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.cluster import local
from tests.cluster.progress import say, step
from tests.cluster.targets import VARIABLE, Target, target
from tests.demo.errors import DemoError


@contextmanager
def borrowed() -> Iterator[Target]:
    """Bring the cluster up; take it down again unless it was up before or is to be kept.

    Raises `DemoError` when a cluster that was named does not answer.
    """
    if os.environ.get(VARIABLE):
        named = target()
        _require_answer(named)
        yield named
        return
    was_up = local().is_up
    try:
        with step("local cluster"):
            up = target()
        yield up
    finally:
        if not (keep() or was_up):
            local().down()
        elif local().is_up:
            say(f"the local cluster stays (make cluster-down): export KUBECONFIG={local().kubeconfig}")


def keep() -> bool:
    """Whether the environment asks (KEEP=1) to leave everything as it is in the end, to look around."""
    return os.environ.get("KEEP", "") not in {"", "0"}


def _require_answer(named: Target) -> None:
    answer = named.kubectl.run("get", "nodes", "--request-timeout=10s")
    if answer.returncode:
        raise DemoError(
            f"the cluster of {named.kubeconfig} does not answer: {answer.stderr.strip()}",
            advice="check file and network, or leave KUBECONFIG away: the demo then makes a local cluster",
        )
