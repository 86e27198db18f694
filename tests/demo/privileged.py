"""Signals to an agent's process, from a privileged pod on its node.

In its own container the agent is process 1, which the kernel shields from signals sent in there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tests.cluster.kubectl import Kubectl
from tests.demo.install import agent_pod, make_namespace

CHAOS = "sam2-demo-chaos"
"""Namespace of the pod that may see and end other pods' processes."""

_SEND = """
import os, pathlib, signal, sys
uid, number = sys.argv[1], signal.Signals["SIG" + sys.argv[2]]
reached = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        cgroup = (folder / "cgroup").read_text().replace("_", "-")
        command = (folder / "cmdline").read_bytes()
        if uid in cgroup and b"sam2_agent" in command:
            os.kill(int(folder.name), number)
            reached.append(folder.name)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended meanwhile
if not reached:
    sys.exit(f"pod {uid} has no process of sam2_agent here")
"""


@dataclass(frozen=True, slots=True)
class AgentSignals:
    """Sends signals to the process in an agent's pod; the privileged pod is of the operator's image."""

    kubectl: Kubectl
    image: str
    tracker: str

    def prepare(self) -> None:
        """Have the privileged pod ready on the agent's node."""
        make_namespace(self.kubectl, CHAOS, pod_security="privileged")
        self.kubectl.apply(
            _privileged_pod(self.image, agent_pod(self.kubectl, self.tracker)["spec"]["nodeName"])
        )
        self.kubectl("--namespace", CHAOS, "wait", "--for=condition=Ready", "pod/chaos", "--timeout=60s")

    def send(self, signal: Literal["KILL", "STOP", "CONT"]) -> None:
        """Send it; raises `ClusterError` where there is no such process."""
        uid = agent_pod(self.kubectl, self.tracker)["metadata"]["uid"]
        self.kubectl("--namespace", CHAOS, "exec", "chaos", "--", "python", "-c", _SEND, uid, signal)


def remove_chaos(kubectl: Kubectl, *, wait: bool = True) -> None:
    """Take the privileged pod and its namespace away; without `wait`, only begin to."""
    waiting = "--timeout=60s" if wait else "--wait=false"
    kubectl("delete", "namespace", CHAOS, "--ignore-not-found", waiting)


def _privileged_pod(image: str, node: str) -> dict[str, Any]:
    container = {
        "name": "chaos",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "3600"],
        "securityContext": {"privileged": True, "runAsUser": 0, "runAsNonRoot": False},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "chaos", "namespace": CHAOS},
        "spec": {
            "automountServiceAccountToken": False,
            "hostPID": True,
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }
