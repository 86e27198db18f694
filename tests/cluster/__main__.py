"""``python -m tests.cluster``: the local cluster from the command line."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.cluster import binaries
from tests.cluster.cluster import local
from tests.cluster.controlplane import ControlPlane, Ports
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Processes
from tests.cluster.progress import say, step


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build programs from their pinned Go modules")
    build.add_argument("module", nargs="*", help=f"of {', '.join(binaries.MODULES)}; default: all")
    up = commands.add_parser("up", help="bring the local cluster up; harmless when it is up")
    up.add_argument("--nodes", type=int, default=1, help="how many nodes (default: 1)")
    commands.add_parser("down", help="end the local cluster: nothing of it runs or is mounted afterwards")
    commands.add_parser("kubeconfig", help="print the path of the local cluster's kubeconfig")
    load = commands.add_parser("load-image", help="import an image into every node of the local cluster")
    load.add_argument("archive", type=Path, help="an OCI archive, or an OCI image layout folder")
    commands.add_parser("controlplane", help="run a control plane on loopback until interrupted")
    return parser


def _run_control_plane() -> None:
    """Run one in the foreground, in a folder that ends with it; several may run beside each other."""
    binaries.ensure(binaries.CONTROL_PLANE)
    interruptions = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, interruptions)
    with tempfile.TemporaryDirectory(prefix="control-plane-") as name:
        folder = Path(name)
        plane = ControlPlane(folder, Processes(folder, die_with_parent=True), ports=Ports.free())
        try:
            with step("start the control plane"):
                plane.start()
            say(f"audit log: {plane.files.audit_log}")
            print(f"export KUBECONFIG={plane.files.kubeconfig}", flush=True)
            signal.sigwait(interruptions)
        finally:
            plane.stop()


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
                print(local().kubeconfig)
            case "load-image":
                local().load_image(arguments.archive)
            case "controlplane":
                _run_control_plane()
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
