"""What Nuclio's processor and its Python wrapper do with a function, by the documented contract.

    python -m tests.nuclio_processor nuclio/main.py 8080

`init_context(context)` once, then `handler(context, event)` for each HTTP request, one after the other.
Event, context and response are those of nuclio-sdk; so is what becomes of a body whose type is JSON.  The
processor itself, which builds, scales and restarts, is not here.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import nuclio_sdk
from nuclio_sdk.event import EventDeserializerKinds
from nuclio_sdk.json_encoder import Encoder
from nuclio_sdk.logger import HumanReadableFormatter


def main(file: Path, port: int) -> None:
    """Serve until killed."""
    function = imported(file)
    logger = nuclio_sdk.Logger(level=20)
    logger.set_handler("default", sys.stdout, HumanReadableFormatter())
    context = nuclio_sdk.Context(logger=logger, worker_id=0)
    function.init_context(context)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            event = _event(self, self.rfile.read(int(self.headers["Content-Length"])))
            try:
                output = function.handler(context, event)
                told = nuclio_sdk.Response.from_entrypoint_output(Encoder().encode, output)
            except Exception:  # noqa: BLE001  (as the wrapper: the function failed, and the worker goes on)
                told = {"body": traceback.format_exc(), "content_type": "text/plain", "status_code": 500}
            body = told["body"].encode()
            self.send_response(told["status_code"])
            self.send_header("Content-Type", told["content_type"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        server.serve_forever()


def imported(file: Path) -> ModuleType:
    """Load a function's file as the wrapper does."""
    spec = importlib.util.spec_from_file_location("main", file)
    if spec is None or spec.loader is None:
        raise ImportError(str(file))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _event(request: BaseHTTPRequestHandler, body: bytes) -> Any:
    """An event as it comes out of the processor's own protocol."""
    told = {
        b"body": body,
        b"content_type": request.headers.get("Content-Type", "").encode(),
        b"trigger": {b"kind": b"http", b"name": b"calls"},
        b"fields": {},
        b"headers": {name.encode(): value.encode() for name, value in request.headers.items()},
        b"id": b"1",
        b"method": request.command.encode(),
        b"path": request.path.encode(),
        b"size": len(body),
        b"timestamp": int(time.time()),
        b"url": request.path.encode(),
        b"shard_id": 0,
        b"num_shards": 0,
        b"type": b"",
        b"type_version": b"",
        b"version": b"",
    }
    return nuclio_sdk.Event.deserialize(told, kind=EventDeserializerKinds.msgpack_raw)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
