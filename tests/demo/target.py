"""Which cluster the demo runs on: one that was named, or the local one, made for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cluster import local
from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import say, step
from tests.demo import images
from tests.demo.errors import DemoError
from tests.demo.images import Images

KUBECONFIG = "SAM2_TRACKER_KUBECONFIG"
"""Environment variable: the kubeconfig of a cluster to use instead of the local one."""
KEEP = "KEEP"
"""Environment variable: 1 leaves everything as it is in the end, to look around in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster that has the images."""

    kubectl: Kubectl
    images: Images


@contextmanager
def target() -> Iterator[Target]:
    """Bring the cluster up, with the images; take it down again unless it was up before or is to be kept."""
    binaries.ensure(("kubernetes", "helm"))
    if named := os.environ.get(KUBECONFIG):
        yield _named(Path(named))
        return
    cluster = local()
    was_up = cluster.is_up
    try:
        with step("local cluster"):
            cluster.up(1)
        with step("images on its node"):
            loaded = images.load()
        yield Target(cluster.kubectl, loaded)
    finally:
        if keep() or was_up:
            say(
                f"the local cluster stays (make cluster-down ends it): export KUBECONFIG={cluster.kubeconfig}"
            )
        else:
            cluster.down()


def keep() -> bool:
    """Whether everything is to be left as it is in the end."""
    return os.environ.get(KEEP, "") not in {"", "0"}


def _named(kubeconfig: Path) -> Target:
    kubectl = Kubectl(kubeconfig)
    answer = kubectl.run("get", "nodes", "--request-timeout=10s")
    if answer.returncode:
        raise DemoError(
            f"the cluster of {kubeconfig} does not answer: {answer.stderr.strip()}",
            advice="check file and network, or leave KUBECONFIG away: the demo then makes a local cluster",
        )
    with step("images in your registry"):
        return Target(kubectl, images.push())
