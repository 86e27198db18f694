"""pytest fixtures: a control plane for the tests under ``tests/controlplane``."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster import binaries
from tests.cluster.controlplane import ControlPlane, Ports
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import Processes


@dataclass(frozen=True)
class RunningControlPlane:
    """A real API server with etcd, controller-manager and scheduler, while the tests run.

    Attributes:
        kubeconfig: its administrator's kubeconfig.
        audit_log: one ``audit.k8s.io/v1`` Event a line (level Metadata), once a request was answered.
        kubectl: kubectl with that kubeconfig.
    """

    kubeconfig: Path
    audit_log: Path
    kubectl: Kubectl


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningControlPlane]:
    """Start a control plane on free loopback ports; its programs are built on first use (minutes)."""
    binaries.ensure(binaries.CONTROL_PLANE)
    folder = tmp_path_factory.mktemp("control-plane")
    plane = ControlPlane(folder, Processes(folder, die_with_parent=True), ports=Ports.free())
    try:
        plane.start()
        yield RunningControlPlane(plane.files.kubeconfig, plane.files.audit_log, plane.kubectl)
    finally:
        plane.stop()
