"""Loading images into a node: an OCI archive, or an OCI layout folder, of which only what is new is sent."""

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import IO, Any

from tests.cluster import oci
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.node import Node

# Manifests are always sent: containerd looks for them in the archive.
_SMALL = 1 << 16
_OCI_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


def load(node: Node, source: Path) -> None:
    """Import the images of an archive or of a layout folder; do nothing for a layout that the node has.

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
    index = _named_index(layout)
    lines = (line.split() for line in run(node.ctr("images", "list")).splitlines()[1:])
    known = {fields[0]: fields[2] for fields in lines}
    if all(known.get(each["annotations"][_CONTAINERD_NAME]) == each["digest"] for each in index["manifests"]):
        return
    present = set(run(node.ctr("content", "list", "--quiet")).split())
    with subprocess.Popen(
        node.ctr("images", "import", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as ctr:
        assert ctr.stdin is not None
        assert ctr.stderr is not None
        try:
            _send(ctr.stdin, layout, index, present)
            ctr.stdin.close()
        except BrokenPipeError:
            pass  # It refused the image: its own words follow.
        said = ctr.stderr.read().decode(errors="replace")
    if ctr.returncode:
        raise ClusterError(f"{node.name} refused the image in {layout}: {said.strip()}")


def _named_index(layout: Path) -> dict[str, Any]:
    """The layout's index with the images' names where containerd reads whole names."""
    index: dict[str, Any] = json.loads((layout / "index.json").read_text())
    for each in index["manifests"]:
        each["annotations"][_CONTAINERD_NAME] = each["annotations"][_OCI_NAME]
    return index


def _send(stream: IO[bytes], layout: Path, index: dict[str, Any], present: set[str]) -> None:
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        archive.add(layout / "oci-layout", "oci-layout")
        data = json.dumps(index).encode()
        member = tarfile.TarInfo("index.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
        for digest in oci.reachable(layout):
            path = oci.blob(layout, digest)
            if digest not in present or path.stat().st_size < _SMALL:
                archive.add(path, str(path.relative_to(layout)))
