"""What builds images: docker, podman or buildah, behind one small protocol."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests.cluster import oci
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError


class Engine(Protocol):
    """Builds images from Dockerfiles into a store of its own, and gives them out of it.

    Attributes:
        name: the program.
        reaches_registries: whether the public base image can be expected to be there.
    """

    name: str
    reaches_registries: bool

    def build(self, tag: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None: ...

    def has(self, tag: str) -> bool: ...

    def import_root(self, tag: str, archive: Path) -> None:
        """Make an image of one layer from a root file system in a tar archive."""

    def export(self, tag: str, folder: Path) -> Path:
        """Write the image below the folder, as an OCI layout or an archive, and say where."""


class Docker:
    """docker, and podman with docker's command line."""

    reaches_registries = True

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, tag: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        _show([self.name, "build", f"--tag={tag}", f"--file={dockerfile}", *options, str(context)])

    def has(self, tag: str) -> bool:
        return _succeeds([self.name, "image", "inspect", tag])

    def import_root(self, tag: str, archive: Path) -> None:
        run([self.name, "import", archive, tag])

    def export(self, tag: str, folder: Path) -> Path:
        archive = folder / "image.tar"
        archive.unlink(missing_ok=True)
        run([self.name, "save", "--output", archive, tag])
        return archive


class Buildah:
    """buildah in a chroot: it needs no daemon, and works within containers; pip is set up as outside."""

    name = "buildah"
    reaches_registries = False

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        os.environ.setdefault("BUILDAH_ISOLATION", "chroot")
        os.environ.setdefault("STORAGE_DRIVER", "overlay")

    def build(self, tag: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        mounts = [f"--volume={source}:{place}:ro" for source, place in self._surroundings().items()]
        command = ["buildah", "build", "--layers", "--network=host", f"--tag={tag}", f"--file={dockerfile}"]
        _show([*command, *mounts, *options, str(context)])

    def has(self, tag: str) -> bool:
        return _succeeds(["buildah", "inspect", "--type=image", tag])

    def import_root(self, tag: str, archive: Path) -> None:
        container = run(["buildah", "from", "scratch"]).strip()
        try:
            run(["buildah", "add", "--quiet", container, archive, "/"])
            run(["buildah", "config", "--cmd=/bin/sh", container])
            run(["buildah", "commit", "--quiet", container, tag])
        finally:
            run(["buildah", "rm", container])

    def export(self, tag: str, folder: Path) -> Path:
        """Write a layout whose layers are not compressed: this disk is faster than this processor.

        Layers that the layout has are not written again, those of earlier builds are removed.
        """
        layout = folder / "layout"
        (layout / "index.json").unlink(missing_ok=True)
        run(
            [
                *("skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers"),
                *(f"containers-storage:{tag}", f"oci:{layout}:{tag}"),
            ]
        )
        needed = {digest.partition(":")[2] for digest in oci.reachable(layout)}
        for blob in (layout / "blobs" / "sha256").iterdir():
            if blob.name not in needed:
                blob.unlink()
        return layout

    def _surroundings(self) -> dict[Path, str]:
        """This machine's certificates, and its pip settings as a file: nothing of them enters the image."""
        settings = {
            key.removeprefix("PIP_").lower().replace("_", "-"): value
            for key, value in os.environ.items()
            if key.startswith("PIP_") and value
        }
        settings.pop("find-links", None)  # A folder of this machine.
        file = self._scratch / "pip.conf"
        file.write_text(
            "[global]\n" + "".join(f"{key} = {value}\n" for key, value in sorted(settings.items()))
        )
        return {Path("/etc/ssl/certs"): "/etc/ssl/certs", file: "/etc/pip.conf"}


def find(scratch: Path) -> Engine:
    """The first engine that works here.

    Raises:
        ClusterError: none does.
    """
    for name in ("docker", "podman"):
        if shutil.which(name) and _succeeds([name, "info"]):
            return Docker(name)
    if shutil.which("buildah"):
        return Buildah(scratch)
    raise ClusterError(
        "images are built with docker, podman or buildah, and none works here: hack/apt.sh installs one"
    )


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _show(command: list[str]) -> None:
    """Run a build: its words are shown when it fails."""
    done = subprocess.run(
        ["nice", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"the image was not built: {done.stdout[-4000:]}")
