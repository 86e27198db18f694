"""An API server as far as the gateway's listing meets it: gives a list of trackers, or is away.

It knows no watches, so what changes is seen by the interval; tests/controlplane has a real one.
"""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

UID = "0f0e0d0c-0b0a-0908-0706-050403020100"


def tracker(name: str, namespace: str = "lab", **changes: Any) -> dict[str, Any]:
    """A serverless tracker that is ready, as an API server gives it."""
    ready = changes.pop("ready", True)
    spec = {
        "cvat": {"interface": "Serverless", "organization": ""},
        "function": {"shapeTypes": ["mask", "polygon", "rectangle"]},
        "model": {"id": "facebook/sam2.1-hiera-tiny"},
        "suspend": False,
        **changes,
    }
    condition = {"type": "Ready", "status": str(ready), "reason": "Any", "message": "Any."}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{UID}-{name}"},
        "spec": spec,
        "status": {"conditions": [condition], "model": "facebook/sam2.1-hiera-tiny"},
    }


class Kubernetes(AbstractContextManager["Kubernetes"]):
    """Lists `trackers`; while `away`, answers nothing that helps."""

    def __init__(self) -> None:
        self.trackers: list[dict[str, Any]] = []
        self.away = False
        self.forbidden: set[str] = set()
        """Namespaces that may not be listed."""
        self.listed = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                lists = "sam2trackers" in self.path and "watch" not in self.path
                status, answer = 404, {"kind": "Status", "message": "not found"}
                if outer.away:
                    status = 503
                elif lists and any(f"/namespaces/{each}/" in self.path for each in outer.forbidden):
                    status, answer["message"] = (
                        403,
                        'sam2trackers is forbidden: User "x" cannot list resource "any"',
                    )
                elif lists:
                    status, answer = 200, {"kind": "SAM2TrackerList", "items": outer.trackers}  # type: ignore[dict-item]
                body = json.dumps(answer).encode()
                with suppress(BrokenPipeError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                outer.listed += lists and status == 200

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def kubeconfig(self, folder: Path) -> Path:
        """Write how to reach it."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        path = folder / "kubeconfig"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": url}}],
            "users": [{"name": "fake", "user": {"token": "any"}}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
