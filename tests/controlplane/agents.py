"""Agents and their pods as the operator meets them: what a kubelet writes, and what GET /status says."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from sam2_operator.core.environment import PORT
from tests.cvat_standin.waiting import wait_for

if TYPE_CHECKING:
    from tests.controlplane.harness import Namespace

SERVING: dict[str, Any] = {
    "version": "0.1.0",
    "phase": "Serving",
    "ready": True,
    "reason": "Serving",
    "message": "The agent serves.",
    "leaseHeld": True,
    "leaseEpoch": 1,
    "cvatAnsweredSecondsAgo": 0.5,
    "redisAnsweredSecondsAgo": 0.5,
    "modelFingerprint": "abc",
}
"""What an agent that serves says of itself."""


class SpeakingAgent(AbstractContextManager["SpeakingAgent"]):
    """An agent as far as the operator meets it: GET /status at an address of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.status = dict(SERVING)
        agent = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = json.dumps(agent.status).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer((address, PORT), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def says(self, **fields: Any) -> None:
        self.status = {**self.status, **fields}

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def running(address: str, *, ready: bool = True) -> dict[str, Any]:
    """The status of a pod whose container runs."""
    return {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ],
        "containerStatuses": [
            container_status({"running": {"startedAt": "2026-01-01T00:00:00Z"}}, ready=ready),
        ],
    }


def container_status(
    state: dict[str, Any], *, ready: bool = False, restarts: int = 0, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The status of the agent's container."""
    return {
        "name": "agent",
        "image": "sam2-tracker-agent:test",
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def start_agent(namespace: Namespace, agent: SpeakingAgent) -> None:
    """Let the pod run, as a scheduler and a kubelet would."""
    wait_for(lambda: namespace.exists("pod", "cars-agent-0"), "the pod")
    wait_for(
        lambda: (
            namespace.get("pod", "cars-agent-0")["metadata"]["labels"]["controller-revision-hash"]
            == namespace.get("statefulset", "cars-agent")["status"].get("updateRevision")
        ),
        "the pod's revision",
    )
    namespace.pod_status(running(agent.address))
