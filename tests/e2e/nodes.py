"""The local cluster's nodes, which tests take away; those of a cluster of the user's own they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from tests.cluster import cgroups, outages
from tests.cluster.controlplane import ControlPlane
from tests.cluster.node import Node
from tests.cluster.targets import Target


@contextmanager
def first_only(cluster: Target) -> Iterator[None]:
    """Let new pods go to the first node, which has the control plane and is never taken away."""
    others = [node.name for node in cluster.local.nodes[1:]] if cluster.local else []
    try:
        for name in others:
            cluster.kubectl("cordon", name)
        yield
    finally:
        for name in others:
            cluster.kubectl("uncordon", name)


@dataclass(frozen=True)
class LosableNode:
    """A node that may be lost, for as long as a context lasts."""

    node: Node
    plane: ControlPlane

    @property
    def name(self) -> str:
        """The node's name in the cluster."""
        return self.node.name

    def outage(self, kind: str) -> AbstractContextManager[None]:
        """One of `outages`, by its name."""
        if kind == "switched_off":
            return outages.switched_off(self.node, self.plane)
        without_plane = {
            each.__name__: each for each in (outages.frozen, outages.cut_off, outages.kubelet_still)
        }
        return without_plane[kind](self.node)

    def runs(self, pod_uid: str) -> bool:
        """Whether a process of that pod is there, whatever Kubernetes thinks."""
        return bool(cgroups.pids(self.node.cgroup, below=pod_uid))
