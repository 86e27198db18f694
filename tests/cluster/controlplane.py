"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler: a Kubernetes without nodes.

It serves tests that need a real API server and no kubelet, on loopback; and, within a node's network
namespace, it is the first half of the whole cluster.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.addresses import API_SERVICE, SERVICE_RANGE
from tests.cluster.certificates import Authority, Pair, write_kubeconfig, write_service_account_keys
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.cluster.processes import Processes
from tests.cluster.progress import step
from tests.ports import free_ports

# Every call but watches of health: who did what, never a body, so that no secret reaches the log.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*"]},
        {"level": "Metadata"},
    ],
}
_COMPONENTS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")


@dataclass(frozen=True)
class Ports:
    """Where the parts listen."""

    api: int = 6443
    etcd: int = 2379
    etcd_peer: int = 2380
    controller_manager: int = 10257
    scheduler: int = 10259

    @classmethod
    def free(cls) -> "Ports":
        """Ports of loopback that are free now, for any number of control planes beside each other."""
        return cls(*free_ports(5))


@dataclass(frozen=True)
class Files:
    """What a control plane keeps in its folder."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object a line: the ``audit.k8s.io/v1`` Event of each request, once it was answered."""
        return self.folder / "audit.log"

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    def component_kubeconfig(self, component: str) -> Path:
        return self.folder / f"{component}.kubeconfig"

    def authority(self) -> Authority:
        """The cluster's authority, as it was written."""
        certificate, key = (self.certificates / f"ca.{kind}" for kind in ("crt", "key"))
        return Authority(Pair(certificate.read_bytes(), key.read_bytes()))


@dataclass(frozen=True)
class ControlPlane:
    """A control plane in a folder, listening on one address of this machine or of a network namespace.

    Attributes:
        inside: the process whose namespaces it runs in; None for this machine's own.
        client_rate: how many requests a second controllers and scheduler may make, if not their default.
    """

    folder: Path
    processes: Processes
    address: str = "127.0.0.1"
    inside: str | None = None
    ports: Ports = field(default_factory=Ports)
    client_rate: int | None = None

    @property
    def files(self) -> Files:
        return Files(self.folder)

    @property
    def kubectl(self) -> Kubectl:
        """Kubectl as the cluster's administrator."""
        return Kubectl(self.files.kubeconfig)

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.ports.api}"

    def prepare(self, now: datetime) -> None:
        """Write certificates, kubeconfig files and the audit policy, unless they are there."""
        if self.files.kubeconfig.exists():
            return
        folder = self.files.certificates
        authority = Authority.create("sam2-tracker-test-cluster", now)
        authority.pair.write(folder, "ca")
        names = (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        )
        hosts = (self.address, "127.0.0.1", "localhost", str(API_SERVICE), *names)
        authority.issue("kube-apiserver", now, hosts=hosts).write(folder, "apiserver")
        authority.issue("apiserver", now, organization="system:masters").write(folder, "apiserver-kubelet")
        authority.issue("front-proxy", now).write(folder, "front-proxy")
        write_service_account_keys(folder)
        for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
            pair = authority.issue(f"system:{component}", now)
            write_kubeconfig(self.files.component_kubeconfig(component), self.server, authority, pair)
        (self.folder / "audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
        admin = authority.issue("admin", now, organization="system:masters")
        write_kubeconfig(self.files.kubeconfig, self.server, authority, admin)

    def start(self, *, patience: float = 90.0) -> None:
        """Start what does not run, and wait until the API answers and the controllers work.

        Raises:
            ClusterError: a part ended, or was not ready in time; with its last words.
        """
        self.prepare(datetime.now(UTC))  # noqa: TID251 -- certificates begin when they are made
        for name, arguments in (
            ("etcd", self._etcd()),
            ("kube-apiserver", self._apiserver()),
        ):
            self._start(name, arguments)
        self._wait_for(("get", "--raw", "/readyz"), "kube-apiserver", patience)
        for name in ("kube-controller-manager", "kube-scheduler"):
            self._start(name, self._client_of_the_api(name))
        # Made by the controller-manager: pods and tokens can be made from here on.
        self._wait_for(
            ("get", "serviceaccount", "default", "-n", "default"), "kube-controller-manager", patience
        )

    def stop(self) -> None:
        """End the parts, in the order in which they need each other."""
        for name in _COMPONENTS:
            self.processes.stop(name)

    def _start(self, name: str, arguments: Sequence[str]) -> None:
        self.processes.start(name, (binaries.program(name), *arguments), inside=self.inside)

    def _wait_for(self, question: tuple[str, ...], component: str, patience: float) -> None:
        deadline = time.monotonic() + patience
        while (answer := self.kubectl.run(*question, "--request-timeout=5s")).returncode:
            self.processes.require("etcd")
            self.processes.require(component)
            if time.monotonic() > deadline:
                last = self.processes.tail(component)
                raise ClusterError(f"{component} was not ready in {patience:.0f} s: {answer.stderr}\n{last}")
            time.sleep(0.1)

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in (self.ports.etcd, self.ports.etcd_peer))
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # The data need not outlive a power failure, and this machine's disk is shared.
            "--unsafe-no-fsync",
        ]

    def _apiserver(self) -> list[str]:
        folder = self.files.certificates
        loopback = self.address == "127.0.0.1"
        return [
            f"--etcd-servers=http://127.0.0.1:{self.ports.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.ports.api}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            # Endpoints may not name loopback: without nodes nobody asks for them.
            f"--endpoint-reconciler-type={'none' if loopback else 'lease'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            f"--tls-cert-file={folder / 'apiserver.crt'}",
            f"--tls-private-key-file={folder / 'apiserver.key'}",
            f"--kubelet-certificate-authority={folder / 'ca.crt'}",
            f"--kubelet-client-certificate={folder / 'apiserver-kubelet.crt'}",
            f"--kubelet-client-key={folder / 'apiserver-kubelet.key'}",
            # Nodes have no names in DNS: exec and logs go to their addresses.
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={folder / 'ca.crt'}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={folder / 'front-proxy.crt'}",
            f"--proxy-client-key-file={folder / 'front-proxy.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={folder / 'service-account.pub'}",
            f"--service-account-signing-key-file={folder / 'service-account.key'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--audit-policy-file={self.folder / 'audit-policy.json'}",
            f"--audit-log-path={self.files.audit_log}",
            "--audit-log-maxsize=100000",  # MiB; who reads it must find all of it in one file
            "--profiling=false",
        ]

    def _client_of_the_api(self, name: str) -> list[str]:
        kubeconfig = self.files.component_kubeconfig(name)
        common = [
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            *(
                (f"--kube-api-qps={self.client_rate}", f"--kube-api-burst={self.client_rate}")
                if self.client_rate
                else ()
            ),
        ]
        if name == "kube-scheduler":
            return [*common, f"--secure-port={self.ports.scheduler}"]
        folder = self.files.certificates
        return [
            *common,
            f"--secure-port={self.ports.controller_manager}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={folder / 'service-account.key'}",
            f"--root-ca-file={folder / 'ca.crt'}",
            # Less than half of the default: kubelets here give a sign of life every five seconds.
            "--node-monitor-grace-period=20s",
            "--profiling=false",
        ]


@contextmanager
def temporary() -> Iterator[ControlPlane]:
    """A control plane on free loopback ports, in a folder that ends with it; built on first use (minutes)."""
    binaries.ensure(binaries.CONTROL_PLANE)
    with tempfile.TemporaryDirectory(prefix="control-plane-") as name:
        folder = Path(name)
        plane = ControlPlane(folder, Processes(folder, die_with_parent=True), ports=Ports.free())
        try:
            with step("start a control plane"):
                plane.start()
            yield plane
        finally:
            plane.stop()
