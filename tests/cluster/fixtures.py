"""pytest fixtures: a control plane for ``tests/controlplane``, a whole cluster for ``tests/e2e``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.controlplane import ControlPlane, temporary
from tests.cluster.kubectl import Kubectl
from tests.cluster.targets import Target, target


@dataclass(frozen=True)
class RunningControlPlane:
    """A real API server with etcd, controller-manager and scheduler, while the tests run.

    Attributes:
        kubeconfig: its administrator's kubeconfig.
        audit_log: one ``audit.k8s.io/v1`` Event a line (level Metadata), once a request was answered.
        kubectl: kubectl with that kubeconfig.
        plane: its parts, which a test may end and start again.
    """

    kubeconfig: Path
    audit_log: Path
    kubectl: Kubectl
    plane: ControlPlane


@pytest.fixture(scope="session")
def control_plane() -> Iterator[RunningControlPlane]:
    """Start a control plane on free loopback ports; its programs are built on first use (minutes)."""
    with temporary() as plane:
        yield RunningControlPlane(plane.files.kubeconfig, plane.files.audit_log, plane.kubectl, plane)


@pytest.fixture(scope="session")
def cluster() -> Target:
    """The cluster that the user named, or the local one with two nodes, which stays up for the next run."""
    return target(nodes=2)
