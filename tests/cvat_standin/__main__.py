"""`python -m tests.cvat_standin`: the stand-in in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from tests.cvat_standin.control_models import Seed
from tests.cvat_standin.journal import LogEntry
from tests.cvat_standin.population import plant
from tests.cvat_standin.server import TlsFiles, serve

_SHOWN = {
    "time",
    "method",
    "path",
    "query",
    "status",
    "milliseconds",
    "user",
    "organization",
    "agent_id",
    "fault",
}


def main() -> None:
    """Serve until SIGTERM or SIGINT, one JSON line a call on standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.cvat_standin", description="A stand-in for CVAT.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--tls-certificate", type=Path, help="PEM file; with it the server speaks HTTPS")
    parser.add_argument("--tls-key", type=Path, help="PEM file")
    parser.add_argument("--seed-file", type=Path, help="JSON with users and organizations to start with")
    arguments = parser.parse_args()
    if (arguments.tls_certificate is None) != (arguments.tls_key is None):
        parser.error("--tls-certificate and --tls-key belong together")
    tls = TlsFiles(arguments.tls_certificate, arguments.tls_key) if arguments.tls_key else None
    scheme = "https" if tls else "http"
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    seed = Seed.model_validate_json(arguments.seed_file.read_bytes()) if arguments.seed_file else Seed()
    asyncio.run(
        serve(
            host=arguments.host,
            port=arguments.port,
            on_ready=lambda port: print(
                f"CVAT stand-in ready on {scheme}://{arguments.host}:{port}", flush=True
            ),
            tls=tls,
            on_call=_print_call,
            prepare=lambda standin: plant(standin, seed),
        )
    )


def _print_call(entry: LogEntry) -> None:
    print(entry.model_dump_json(include=_SHOWN, exclude_defaults=True), flush=True)


if __name__ == "__main__":
    main()
