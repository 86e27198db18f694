"""What befalls nodes: one stands still, one is cut off, one loses its power. Each ends as it began.

frozen         everything on the node stands still and goes on where it was, as if no time had passed
kubelet still  its pods go on, and nobody tells them, or the API server, anything
cut off        everything on the node runs, and reaches nobody
switched off   all its processes are killed; switched on, it starts anew with what is on its disk
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.cluster import cgroups, network
from tests.cluster.commands import run
from tests.cluster.controlplane import ControlPlane
from tests.cluster.node import Node

_PARTS = ("kubelet", "kube-proxy", "containerd")


@contextmanager
def frozen(node: Node) -> Iterator[None]:
    """Let the whole node stand still."""
    try:
        _signal(node, signal.SIGSTOP, *_PARTS)
        cgroups.signal_all(node.cgroup, signal.SIGSTOP)
        yield
    finally:
        cgroups.signal_all(node.cgroup, signal.SIGCONT)
        _signal(node, signal.SIGCONT, *_PARTS)


@contextmanager
def kubelet_still(node: Node) -> Iterator[None]:
    """Let the node's kubelet stand still, while its pods go on."""
    try:
        _signal(node, signal.SIGSTOP, "kubelet")
        yield
    finally:
        _signal(node, signal.SIGCONT, "kubelet")


@contextmanager
def cut_off(node: Node) -> Iterator[None]:
    """Pull the node's cable."""
    try:
        _cable(node, "down")
        yield
    finally:
        _cable(node, "up")


@contextmanager
def switched_off(node: Node, plane: ControlPlane) -> Iterator[None]:
    """Kill all that runs on the node at once; start it again."""
    try:
        node.stop()
        cgroups.remove(node.cgroup)
        yield
    finally:
        node.start_containerd()
        node.start_kubelet(plane)


def end(node: Node) -> None:
    """End whatever befell a node that runs; for outages whose process could not end them."""
    cgroups.signal_all(node.cgroup, signal.SIGCONT)
    _signal(node, signal.SIGCONT, *_PARTS)
    _cable(node, "up")


def _signal(node: Node, number: signal.Signals, *parts: str) -> None:
    for part in parts:
        if (pid := node.processes.pid(node.process(part))) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _cable(node: Node, state: str) -> None:
    run([*node.processes.entry(network.SWITCH), "ip", "link", "set", node.name, state])
