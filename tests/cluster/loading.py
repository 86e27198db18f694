"""Loading images into a node: an OCI archive, or an OCI layout folder, of which only what is new is sent.

Large layers of a layout are not even sent: containerd keeps its content in files named by digest, and a hard
link to the layout's file is such a file. That spares a node gigabytes of copying, hashing and disk.
"""

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.cluster import oci
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.node import Node

# Manifests are always sent: containerd looks for them in the archive.
_SMALL = 1 << 16
_LARGE = 1 << 26
_KEEP = "containerd.io/gc.root"
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
    index = _named_index(layout)
    images = _images(node)
    if all(
        images.get(each["annotations"][_CONTAINERD_NAME]) == each["digest"] for each in index["manifests"]
    ):
        return
    present = set(run(node.ctr("content", "list", "--quiet")).split())
    large = [
        digest
        for digest in oci.reachable(layout)
        if digest not in present and oci.blob(layout, digest).stat().st_size >= _LARGE
    ]
    linked = [digest for digest in large if _link(node, oci.blob(layout, digest), digest)]
    _feed(node, lambda stream: _send(stream, layout, index, {*present, *linked}))
    for digest in linked:
        run(node.ctr("content", "label", digest, f"{_KEEP}="))
    _remove_nameless(node)


def _link(node: Node, blob: Path, digest: str) -> bool:
    """Give containerd the file as content; say whether that was possible (both on one file system)."""
    store = node.images / "io.containerd.content.v1.content" / "blobs" / digest.replace(":", "/")
    store.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(blob, store)
    except FileExistsError:
        pass  # Another image's content that containerd has not collected yet.
    except OSError:
        return False
    expected = (f"--expected-digest={digest}", f"--expected-size={blob.stat().st_size}")
    with blob.open("rb") as content:
        # It finds the content there, skips it, and notes that it exists.
        command = node.ctr("content", "ingest", *expected, f"link-{digest}")
        done = subprocess.run(command, stdin=content, capture_output=True, check=False)
    if done.returncode:
        return False
    run(node.ctr("content", "label", digest, f"{_KEEP}=import"))
    return True


def _feed(node: Node, send: Callable[[IO[bytes]], None]) -> None:
    """Import the archive that ``send`` writes.

    Containerd collects garbage meanwhile, and may take a layer of an image that was just replaced although
    the next one is being unpacked on it. It then says so, and unpacks the layer anew when asked again.
    """
    for last in (False, False, True):
        try:
            _feed_once(node, send)
        except ClusterError as error:
            if last or "parent snapshot" not in str(error):
                raise
        else:
            return


def _feed_once(node: Node, send: Callable[[IO[bytes]], None]) -> None:
    with subprocess.Popen(
        node.ctr("images", "import", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as ctr:
        assert ctr.stdin is not None
        assert ctr.stderr is not None
        try:
            send(ctr.stdin)
            ctr.stdin.close()
        except BrokenPipeError:
            pass  # It refused the image: its own words follow.
        said = ctr.stderr.read().decode(errors="replace")
    if ctr.returncode:
        raise ClusterError(f"{node.name} refused the image: {said.strip()}")


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


def _named_index(layout: Path) -> dict[str, Any]:
    """The layout's index with the images' names where containerd reads whole names."""
    index: dict[str, Any] = json.loads((layout / "index.json").read_text())
    for each in index["manifests"]:
        each["annotations"][_CONTAINERD_NAME] = each["annotations"][_OCI_NAME]
    return index


def _images(node: Node) -> dict[str, str]:
    """The digest of each image that the node has, by its name."""
    lines = (line.split() for line in run(node.ctr("images", "list")).splitlines()[1:])
    return {fields[0]: fields[2] for fields in lines}


def _remove_nameless(node: Node) -> None:
    """Forget images whose name another build took over: containers that run from them go on."""
    images = _images(node)
    named = {digest for name, digest in images.items() if not name.startswith("sha256:")}
    if stale := [name for name, digest in images.items() if digest not in named]:
        run(node.ctr("images", "remove", *stale))
