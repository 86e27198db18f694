"""How the parts of a node are configured. Pure: a node and its control plane in, files' content out."""

from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.addresses import DNS_SERVICE, POD_RANGE, Plan
from tests.cluster.controlplane import ControlPlane
from tests.cluster.oci import program_image

if TYPE_CHECKING:
    from tests.cluster.node import Node

CNI_PROGRAMS = Path("/usr/lib/cni")


def containerd_config(node: "Node") -> str:
    """Containerd's configuration (TOML)."""
    return f"""\
version = 2
root = "{node.images}"
state = "{node.containerd_socket.parent / "state"}"
disabled_plugins = ["io.containerd.internal.v1.tracing"]

[grpc]
address = "{node.containerd_socket}"

[plugins."io.containerd.internal.v1.opt"]
path = "{node.folder / "opt"}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{program_image("pause")}"
# A machine without CAP_SYS_RESOURCE may not lower a score, and starts no sandbox without this.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PROGRAMS}"
conf_dir = "{node.folder / "cni"}"
"""


def cni_config(node: "Node") -> dict[str, object]:
    """How pods get their interfaces: each a pair of its own, so that all of its packets meet the firewall."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(Plan.pods(node.index))}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(node.folder / "cni-addresses"),
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": True, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet_config(node: "Node", plane: ControlPlane) -> dict[str, object]:
    """A KubeletConfiguration."""
    certificates = node.folder / "certificates"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(node.address),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.files.certificates / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificates / "kubelet.crt"),
        "tlsPrivateKeyFile": str(certificates / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "nodeLeaseDurationSeconds": 20,  # renewed every five: a lost node is noticed sooner
        "clusterDomain": "cluster.local",
        "clusterDNS": [str(DNS_SERVICE)],
        "resolvConf": str(node.folder / "resolv.conf"),
        "volumePluginDir": str(node.folder / "volume-plugins"),
        "podLogsDir": str(node.folder / "pod-logs"),
        # Images come from no registry: one that is collected is gone.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "serializeImagePulls": False,
    }


def kube_proxy_config(node: "Node", plane: ControlPlane) -> dict[str, object]:
    """A KubeProxyConfiguration."""
    kubeconfig = plane.files.component_kubeconfig("kube-proxy")
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": node.name,
        "bindAddress": str(node.address),
        "metricsBindAddress": "127.0.0.1:10249",
        "mode": "iptables",
        "clusterCIDR": str(POD_RANGE),
        # This machine's own limits of connection tracking are left as they are.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
