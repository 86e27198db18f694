"""``python -m tests.cluster``: the local cluster from the command line."""

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.cluster import binaries, schemas
from tests.cluster.cluster import local
from tests.cluster.controlplane import temporary
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build programs from their pinned Go modules")
    build.add_argument("module", nargs="*", help=f"of {', '.join(binaries.MODULES)}; default: all")
    up = commands.add_parser("up", help="bring the local cluster up; harmless when it is up")
    up.add_argument(
        "--nodes", type=int, default=1, help="how many nodes (default: 1); new ones have no images yet"
    )
    commands.add_parser("down", help="end the local cluster: nothing of it runs or is mounted afterwards")
    commands.add_parser("kubeconfig", help="print the path of the local cluster's kubeconfig")
    load = commands.add_parser("load-image", help="import an image into every node of the local cluster")
    load.add_argument("archive", type=Path, help="an OCI archive, or an OCI image layout folder")
    commands.add_parser("controlplane", help="run a control plane on loopback until interrupted")
    dump = commands.add_parser("schemas", help="write JSON schemas of Kubernetes' kinds for kubeconform")
    dump.add_argument("folder", type=Path)
    return parser


def _run_control_plane() -> None:
    """Run one in the foreground; several may run beside each other."""
    interruptions = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, interruptions)
    with temporary() as plane:
        say(f"audit log: {plane.files.audit_log}")
        print(f"export KUBECONFIG={plane.files.kubeconfig}", flush=True)
        signal.sigwait(interruptions)


def _write_schemas(folder: Path) -> None:
    with temporary() as plane:
        count = schemas.write(json.loads(plane.kubectl("get", "--raw", "/openapi/v2")), folder)
    print(f"{count} schemas: kubeconform -strict -schema-location '{folder}/{schemas.LOCATION}'")


def main() -> int:
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "build":
                binaries.ensure(arguments.module or binaries.MODULES)
            case "up":
                local().up(arguments.nodes)
                print(f"export KUBECONFIG={local().kubeconfig}")
            case "down":
                local().down()
            case "kubeconfig":
                local().require_up()
                print(local().kubeconfig)
            case "load-image":
                local().load_image(arguments.archive)
            case "controlplane":
                _run_control_plane()
            case "schemas":
                _write_schemas(arguments.folder)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
