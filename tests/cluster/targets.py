"""Which cluster demo and end-to-end tests use: one that the user names, or the local one."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries, images
from tests.cluster.cluster import Cluster, local
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl

VARIABLE = "SAM2_TRACKER_KUBECONFIG"
"""Names the kubeconfig of a cluster of the user's own; ``make ... KUBECONFIG=path`` sets it."""


@dataclass(frozen=True)
class Target:
    """A cluster to use.

    Attributes:
        kubeconfig: how to reach it.
        local: the local cluster if it is that one; None for a cluster of the user's own, where images come
            from a registry that its nodes reach.
    """

    kubeconfig: Path
    local: Cluster | None

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    def load(self, names: Iterable[str]) -> None:
        """Build images of the project and give them to the local cluster's nodes; elsewhere, do nothing."""
        if self.local:
            for name in names:
                self.local.load_image(images.export(name))


def target(*, nodes: int = 1) -> Target:
    """The cluster that the environment names, as it is; or the local one, brought up if it is not up.

    Raises:
        ClusterError: the kubeconfig named is not a file, or the local cluster could not be brought up.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_file():
            raise ClusterError(f"{VARIABLE} names {named}, which is not a file")
        if shutil.which("kubectl") is None:
            binaries.ensure(("kubernetes",))
        return Target(Path(named), None)
    cluster = local()
    cluster.up(nodes)
    return Target(cluster.kubeconfig, cluster)
