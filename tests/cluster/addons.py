"""What a cluster holds before its users come: DNS, and GPUs that nobody has."""

import hashlib
import json
from typing import Any

from tests.cluster.addresses import DNS_SERVICE
from tests.cluster.kubectl import Kubectl
from tests.cluster.node import Node
from tests.cluster.oci import program_image

GPU = "nvidia.com/gpu"
GPUS_PER_NODE = 2

_COREFILE = """\
cluster.local:1053 in-addr.arpa:1053 {
    errors
    health :8080
    ready :8181
    kubernetes cluster.local in-addr.arpa {
        pods verified
        ttl 5
    }
}
# Nothing lies beyond this cluster: other names are answered, at once, with "there is no such name".
.:1053 {
    template ANY ANY . {
        rcode NXDOMAIN
    }
}
"""


def dns() -> list[dict[str, Any]]:
    """CoreDNS as a Deployment, with its Service at the address that pods ask."""
    name, namespace = "coredns", "kube-system"
    labels = {"k8s-app": "kube-dns"}
    meta = {"name": name, "namespace": namespace}
    container = {
        "name": name,
        "image": program_image("coredns"),
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": name,
        # Beside the control plane: tests take the other nodes away.
        "nodeSelector": {"kubernetes.io/hostname": "node-0"},
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": name}}],
    }
    # A new configuration makes new pods.
    changes = {"configuration": hashlib.sha256(_COREFILE.encode()).hexdigest()}
    read = ["list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": read},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read},
    ]
    ports = [{"name": p.lower(), "port": 53, "targetPort": 1053, "protocol": p} for p in ("UDP", "TCP")]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    account = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [account],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": _COREFILE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": changes}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": namespace},
            "spec": {"selector": labels, "clusterIP": str(DNS_SERVICE), "ports": ports},
        },
    ]


def give_gpus(kubectl: Kubectl, node: Node) -> None:
    """Say that the node has GPUs. None is behind them: the scheduler counts them, and that is all."""
    count = {GPU: str(GPUS_PER_NODE)}
    patch = json.dumps({"status": {"capacity": count, "allocatable": count}})
    kubectl("patch", "node", node.name, "--subresource=status", "--type=merge", f"--patch={patch}")
