"""Loading images into a node: an OCI archive, or an OCI image layout folder of which only what is new is sent."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any

from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.node import Node


def load(node: Node, source: Path) -> None:
    """Import the images of an archive or of a layout folder.

    Raises:
        ClusterError: it is neither, or containerd refused it; with what it said.
    """
    if source.is_dir():
        _load_layout(node, source)
    elif source.is_file():
        run(node.ctr("images", "import", str(source)))
    else:
        raise ClusterError(f"there is no image archive or layout folder at {source}")


def _load_layout(node: Node, layout: Path) -> None:
    """Send the layout without the blobs that the node has: of a large image with new code, only the code."""
    present = set(run(node.ctr("content", "list", "--quiet")).split())
    command = node.ctr("images", "import", "-")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as ctr:
        assert ctr.stdin is not None
        assert ctr.stderr is not None
        try:
            _send(ctr.stdin, layout, present)
            ctr.stdin.close()
        except BrokenPipeError:
            pass  # It refused the image: its own words follow.
        said = ctr.stderr.read().decode(errors="replace")
    if ctr.returncode:
        raise ClusterError(f"{node.name} refused the image {layout.name}: {said.strip()}")


def _send(stream: IO[bytes], layout: Path, present: set[str]) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name in ("oci-layout", "index.json"):
            archive.add(layout / name, name)
        for digest in _reachable(layout):
            name = f"blobs/{digest.replace(':', '/')}"
            if digest not in present or (layout / name).stat().st_size < 1 << 20:
                archive.add(layout / name, name)


def _reachable(layout: Path) -> list[str]:
    """The digests of manifests, configurations and layers that the layout's index names."""
    index = json.loads((layout / "index.json").read_text())
    digests = []
    for described in index["manifests"]:
        path = layout / "blobs" / described["digest"].replace(":", "/")
        manifest: dict[str, Any] = json.loads(path.read_text())
        parts = [manifest["config"], *manifest["layers"]]
        digests += [described["digest"], *(part["digest"] for part in parts)]
    return digests
