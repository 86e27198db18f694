"""A node: containerd, kubelet and kube-proxy in the namespaces of one process, with cgroups of their own."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

from tests.cluster import binaries, cgroups
from tests.cluster.addresses import Plan
from tests.cluster.certificates import write_kubeconfig
from tests.cluster.commands import run
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.node_config import cni_config, containerd_config, kube_proxy_config, kubelet_config
from tests.cluster.processes import Processes
from tests.cluster.waiting import wait_until

# Places that the kubelet and containerd name themselves: each node sees its own folder there.
KUBELET_PLACE = Path("/var/lib/kubelet")
CONTAINER_LOGS_PLACE = Path("/var/log/containers")
SHIMS_PLACE = Path("/run/containerd")


@dataclass(frozen=True)
class Node:
    """One node of the cluster.

    Attributes:
        index: 0 for the node that carries the control plane too.
        folder: its data; the part of its images outlives the cluster, so that they are imported once.
        sockets: a short path for sockets and mounts, whose names may not be long.
        cgroup: what its cgroup is named in each hierarchy.
    """

    index: int
    folder: Path
    sockets: Path
    cgroup: str
    network: Plan
    processes: Processes

    @property
    def name(self) -> str:
        return f"node-{self.index}"

    @property
    def address(self) -> IPv4Address:
        return self.network.node(self.index)

    @property
    def images(self) -> Path:
        """Containerd's images: kept when the cluster ends."""
        return self.folder / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.sockets / self.name / "containerd.sock"

    @property
    def mounts(self) -> dict[Path, Path]:
        """What the node shows at places that would be shared with other nodes otherwise."""
        return {
            KUBELET_PLACE: self.folder / "kubelet",
            CONTAINER_LOGS_PLACE: self.folder / "container-logs",
            SHIMS_PLACE: self.sockets / self.name / "shims",
        }

    def process(self, part: str) -> str:
        """What a part of this node is named among the processes."""
        return f"{self.name}-{part}"

    def ctr(self, *arguments: str) -> list[str]:
        """The command line of containerd's client, among Kubernetes' images and containers."""
        return ["ctr", f"--address={self.containerd_socket}", "--namespace=k8s.io", *arguments]

    def start_containerd(self) -> None:
        """Start it and wait until it answers."""
        self._write(self.folder / "cni" / "10-pods.conflist", json.dumps(cni_config(self), indent=1))
        self._write(self.folder / "containerd.toml", containerd_config(self))
        self.containerd_socket.parent.mkdir(parents=True, exist_ok=True)
        part = self.process("containerd")
        command = ["containerd", f"--config={self.folder / 'containerd.toml'}"]
        self.processes.start(part, command, inside=self.name)

        def answers() -> bool:
            self.processes.require(part)
            try:
                run(self.ctr("version"))
            except ClusterError:
                return False
            return True

        if not wait_until(answers, 30, every=0.2):
            raise ClusterError(f"containerd of {self.name} does not answer: {self.processes.tail(part)}")

    def start_kubelet(self, plane: ControlPlane) -> None:
        """Start the kubelet and kube-proxy, which register the node and route its Services."""
        cgroups.create(self.cgroup)
        authority = plane.files.authority()
        certificates = self.folder / "certificates"
        if not (certificates / "kubelet.crt").exists():
            now = datetime.now(UTC)  # noqa: TID251 -- certificates begin when they are made
            pair = authority.issue(
                f"system:node:{self.name}",
                now,
                organization="system:nodes",
                hosts=(self.name, str(self.address)),
            )
            pair.write(certificates, "kubelet")
            write_kubeconfig(self.folder / "kubelet.kubeconfig", plane.server, authority, pair)
        self._write(self.folder / "resolv.conf", "")
        self._write(self.folder / "kubelet.json", json.dumps(kubelet_config(self, plane), indent=1))
        self._write(self.folder / "kube-proxy.json", json.dumps(kube_proxy_config(self, plane), indent=1))
        kubelet: list[str | Path] = [
            binaries.program("kubelet"),
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={KUBELET_PLACE}",
            f"--cert-dir={certificates}",
        ]
        proxy: list[str | Path] = [
            binaries.program("kube-proxy"),
            f"--config={self.folder / 'kube-proxy.json'}",
        ]
        self.processes.start(self.process("kubelet"), kubelet, inside=self.name)
        self.processes.start(self.process("kube-proxy"), proxy, inside=self.name)

    def stop(self) -> None:
        """End what starts pods; the pods themselves end with the node's cgroup."""
        for part in ("kubelet", "kube-proxy", "containerd"):
            self.processes.stop(self.process(part), kill=True)

    @staticmethod
    def _write(path: Path, content: str) -> None:
        """Write what differs: kube-proxy ends when its file is written, whatever is in it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != content:
            path.write_text(content)
