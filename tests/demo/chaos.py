"""Ends the agent in the middle of a request, truly: the frame's download is held up until it is dead.

CVAT's stand-in        agent                          here
stall frame N  ◄──────────────────────────────────── arm
request N ───────────► acquire, fetch frame N
(silent)               waits ...
"stalled" ──────────────────────────────────────────► seen, and request N is in the agent's hands
                       dead  ◄─────────────────────── SIGKILL, or the pod is deleted without grace
                       its successor goes on
answer N ◄───────────  complete
released ◄────────────────────────────────────────── finish
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import say
from tests.cvat_standin.client import CVAT
from tests.cvat_standin.fault_control import ArmedFault
from tests.cvat_standin.waiting import wait_for
from tests.demo.install import NAMESPACE, TRACKER, make_namespace

CHAOS = "sam2-demo-chaos"
"""Namespace of the pod that may see and end other pods' processes."""

_AGENT = f"{TRACKER}-agent-0"
_PATIENCE = 60.0

_KILL = """
import os, pathlib, signal, sys
uid = sys.argv[1]
killed = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        cgroup = (folder / "cgroup").read_text().replace("_", "-")
        command = (folder / "cmdline").read_bytes()
        if uid in cgroup and b"sam2_agent" in command:
            os.kill(int(folder.name), signal.SIGKILL)
            killed.append(folder.name)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended meanwhile
if not killed:
    sys.exit(f"pod {uid} has no process of sam2_agent here")
"""


class MidRequest:
    """Strikes once the frame's download hangs and the request for it is in the agent's hands."""

    name: str
    what: str

    def __init__(self, kubectl: Kubectl, cvat: CVAT, function_id: int) -> None:
        self._kubectl = kubectl
        self._cvat = cvat
        self._function_id = function_id
        self._stall: ArmedFault | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        self._struck: Future[float] | None = None

    def arm(self, frame: int) -> None:
        """See `session.Interruption`."""
        query = {"type": "frame", "number": str(frame)}
        self._stall = self._cvat.faults.stall("GET /api/**", query=query)
        self._struck = self._threads.submit(self._strike_during, frame, self._stall)

    def finish(self) -> float:
        """See `session.Interruption`."""
        assert self._struck is not None, "armed"
        assert self._stall is not None, "armed"
        try:
            return self._struck.result(timeout=_PATIENCE)
        finally:
            self._stall.clear()
            self._threads.shutdown()

    def _strike_during(self, frame: int, stall: ArmedFault) -> float:
        try:
            middle = f"the agent to be in the middle of the request for frame {frame}"
            wait_for(lambda: stall.taken() > 0 and self._in_hand(frame), middle, within=_PATIENCE)
            self.strike()
            say(f"   frame {frame}: {self.what}")
            return time.monotonic()
        except BaseException:
            stall.clear()  # nobody shall wait for what will not come
            raise

    def _in_hand(self, frame: int) -> bool:
        latest = self._cvat.requests(self._function_id)[-1]
        return latest.status == "started" and latest.params["frame"] == frame

    def strike(self) -> None:
        """End the agent."""
        raise NotImplementedError


class ProcessKill(MidRequest):
    """SIGKILL to the agent's process, from a privileged pod on its node.

    In its own container the agent is process 1, which the kernel shields from signals sent in there.
    """

    name = "SIGKILL"
    what = "SIGKILL in the middle of a request"

    def __init__(self, kubectl: Kubectl, cvat: CVAT, function_id: int, image: str) -> None:
        super().__init__(kubectl, cvat, function_id)
        self._image = image

    def arm(self, frame: int) -> None:
        """Have the privileged pod ready on the agent's node."""
        make_namespace(self._kubectl, CHAOS, pod_security="privileged")
        self._kubectl.apply(_privileged_pod(self._image, agent_pod(self._kubectl)["spec"]["nodeName"]))
        self._kubectl("--namespace", CHAOS, "wait", "--for=condition=Ready", "pod/chaos", "--timeout=60s")
        super().arm(frame)

    def strike(self) -> None:
        """Kill it."""
        uid = agent_pod(self._kubectl)["metadata"]["uid"]
        self._kubectl("--namespace", CHAOS, "exec", "chaos", "--", "python", "-c", _KILL, uid)


class PodDeletion(MidRequest):
    """`kubectl delete pod --grace-period=0 --force`."""

    name = "pod deleted"
    what = "pod deleted without grace in a request"

    def strike(self) -> None:
        """Delete its pod."""
        self._kubectl("--namespace", NAMESPACE, "delete", "pod", _AGENT, "--grace-period=0", "--force")


def agent_pod(kubectl: Kubectl) -> dict[str, Any]:
    """The agent's pod."""
    return kubectl.get("--namespace", NAMESPACE, "pod", _AGENT)


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
