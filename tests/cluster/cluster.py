"""The whole cluster: a network, nodes, the control plane on the first of them, and what they begin with.

It lies in a folder of the cache; what must have a short path lies under ``/run``. What the machine knows by
name (an interface, cgroups, sockets) has a name made from that folder: each cache may have a cluster. Images
stay when it ends. A cluster that did not end in order (the machine was switched off) is cleared away and made
anew.
"""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import addons, binaries, cgroups, loading, network, oci, outages, places, sysctls, volumes
from tests.cluster.addresses import Plan
from tests.cluster.commands import run
from tests.cluster.controlplane import ControlPlane, Files
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.locks import held
from tests.cluster.node import CONTAINER_LOGS_PLACE, KUBELET_PLACE, SHIMS_PLACE, Node
from tests.cluster.processes import Processes
from tests.cluster.progress import step
from tests.cluster.waiting import wait_until

SOCKETS = Path("/run/sam2-tracker-clusters")
# What every process of the cluster has in its environment: by it they are known when it ends.
MARK = "SAM2_TRACKER_CLUSTER"


@dataclass(frozen=True)
class Cluster:
    """The local cluster in ``folder``."""

    folder: Path

    @property
    def name(self) -> str:
        """What this machine knows it by: short enough for an interface."""
        return f"s2t-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:5]}"

    @property
    def sockets(self) -> Path:
        return SOCKETS / self.name

    @property
    def kubeconfig(self) -> Path:
        """Its administrator's kubeconfig, which is there while it is up."""
        return Files(self.folder).kubeconfig

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    @property
    def processes(self) -> Processes:
        return Processes(self.folder, environment={MARK: str(self.folder)})

    @property
    def network(self) -> Plan:
        return network.plan(self.folder)

    @property
    def plane(self) -> ControlPlane:
        return ControlPlane(self.folder, self.processes, address=str(self.network.node(0)), inside="node-0")

    def node(self, index: int) -> Node:
        folder = self.folder / f"node-{index}"
        return Node(index, folder, self.sockets, f"{self.name}-node-{index}", self.network, self.processes)

    @property
    def nodes(self) -> list[Node]:
        """The nodes that the cluster has."""
        count = len(list(self.folder.glob("node-*/kubelet.json")))
        return [self.node(index) for index in range(count)]

    @property
    def is_up(self) -> bool:
        return self.processes.pid("kube-apiserver") is not None

    def require_up(self) -> None:
        """Raise ClusterError with advice unless it is up."""
        if not self.is_up:
            raise ClusterError("the local cluster is not up: make cluster-up")

    def up(self, count: int) -> None:
        """Bring it up with that many nodes, or more if it has more; what runs already is left alone."""
        _require_root()
        binaries.ensure(binaries.NODE)
        with self._held():
            if not self.is_up:
                self._down()
            self._up(count)

    def _held(self) -> AbstractContextManager[None]:
        return held(self.folder.parent / "cluster.lock", "a change of the local cluster")

    def _up(self, count: int) -> None:
        with step("network namespaces"):
            self.folder.mkdir(parents=True, exist_ok=True)
            plan = self.network
            sysctls.remember(self.folder / "sysctls")
            network.join_host(self.processes, plan, self.name)
            nodes = [self.node(index) for index in range(max(count, len(self.nodes)))]
            for node in nodes:
                network.join_node(self.processes, plan, node.index, node.mounts, f"{self.name}-{node.index}")
            network.route_pods(self.processes, plan, len(nodes))
        with step("control plane"):
            self.plane.start()
        for node in nodes:
            outages.end(node)
            with step(f"{node.name}: containerd, kubelet, kube-proxy"):
                node.start_containerd()
                self._load_own_images(node)
                node.start_kubelet(self.plane)
        with step("nodes Ready"):
            for node in nodes:
                self._wait_for_node(node)
                addons.give_gpus(self.kubectl, node)
        with step("volumes and DNS"):
            for node in nodes:
                volumes.make_local(self.kubectl, node)
            volumes.make_shared(self.kubectl, self.folder / "shared-volumes")
            self.kubectl.apply(*addons.dns())
            self.kubectl("rollout", "status", "deployment/coredns", "-n", "kube-system", "--timeout=120s")

    def load_image(self, archive: Path) -> None:
        """Import an OCI archive, or an OCI image layout folder, into every node that the cluster has now."""
        self.require_up()
        with self._held():
            for node in self.nodes:
                with step(f"{node.name}: import {archive.parent.name}/{archive.name}"):
                    loading.load(node, archive)

    def down(self) -> None:
        """End it. Nothing of it runs or is mounted afterwards; its images stay for the next one."""
        if (self.folder / network.PLAN).exists():
            _require_root()
            with self._held():
                self._down()

    def _down(self) -> None:
        if not (self.folder / network.PLAN).exists():
            return
        with step("take the local cluster down"):
            for node in self.nodes:
                node.stop()
            self._kill_pods()
            self.plane.stop()
            self._kill_marked()
            sysctls.restore(self.folder / "sysctls")
            self._remove_state()

    def _load_own_images(self, node: Node) -> None:
        present = run(node.ctr("images", "list", "--quiet")).split()
        with tempfile.TemporaryDirectory() as folder:
            for program in ("pause", "coredns"):
                if oci.program_image(program) not in present:
                    archive = Path(folder) / f"{program}.tar"
                    oci.write_program_image(archive, program)
                    loading.load(node, archive)

    def _wait_for_node(self, node: Node) -> None:
        def ready() -> bool:
            self.processes.require(node.process("kubelet"))
            answer = self.kubectl.run(
                "wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=5s", "--request-timeout=10s"
            )
            return answer.returncode == 0

        if not wait_until(ready, 120, every=0.2):
            raise ClusterError(f"{node.name} is not Ready: {self.processes.tail(node.process('kubelet'))}")

    def _kill_pods(self) -> None:
        for folder in self.folder.glob("node-*"):
            cgroup = self.node(int(folder.name.removeprefix("node-"))).cgroup
            if not cgroups.remove(cgroup):
                raise ClusterError(f"the cgroup {cgroup} could not be removed: a process in it does not end")

    def _kill_marked(self) -> None:
        def gone() -> bool:
            marked = list(_marked_processes(self.folder))
            for pid in marked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not marked

        if not wait_until(gone, 20):
            raise ClusterError(f"processes of the cluster do not end: {list(_marked_processes(self.folder))}")

    def _remove_state(self) -> None:
        for path in self.folder.iterdir():
            if path.name.startswith("node-"):
                for part in path.iterdir():
                    if part.name != "containerd":
                        _remove(part)
            elif path.name != network.PLAN:
                _remove(path)
        _remove(self.sockets)
        if _remove_if_empty(SOCKETS):
            # No other cluster shows folders of its own at these places.
            for place in (KUBELET_PLACE, CONTAINER_LOGS_PLACE, SHIMS_PLACE):
                _remove_if_empty(place)
        # Last: as long as it is there, a clearing away that was interrupted is done again.
        (self.folder / network.PLAN).unlink()


def local() -> Cluster:
    """The cluster of this machine, up or not."""
    return Cluster(places.cluster_state())


def _marked_processes(folder: Path) -> Iterator[int]:
    wanted = f"{MARK}={folder}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:
            continue  # It ended meanwhile.


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _remove_if_empty(folder: Path) -> bool:
    """Remove a folder that holds nothing; say whether it is gone."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return not folder.exists()


def _require_root() -> None:
    if os.geteuid():
        raise ClusterError(
            "root is needed: run it with sudo, or name a cluster of yours (make ... KUBECONFIG=path)"
        )
