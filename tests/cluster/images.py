"""The project's images, and those that demo and tests need besides: built when what they are made of changed.

``python -m tests.cluster.images [NAME...]`` builds them into the store of docker, podman or buildah. With
buildah, which is what a machine has that reaches no registry, their base is made from Debian packages.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import engines, places
from tests.cluster.commands import run
from tests.cluster.engines import Engine
from tests.cluster.errors import ClusterError
from tests.cluster.locks import held
from tests.cluster.progress import say, step

PUBLIC_BASE = "python:3.12-slim-bookworm"
_BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
_BASE_TAG = "localhost/sam2-tracker-base:bookworm-1"


@dataclass(frozen=True)
class Image:
    """An image and what it is made of, relative to the repository."""

    name: str
    dockerfile: str
    sources: tuple[str, ...]

    @property
    def tag(self) -> str:
        """As Kubernetes names it when a Pod says ``name:version``."""
        return f"docker.io/library/{self.name}:{version()}"

    def digest(self) -> str:
        """A digest of all that it is made of, the base apart."""
        state = hashlib.sha256()
        for source in (self.dockerfile, *self.sources):
            for path in _files(places.REPOSITORY / source):
                state.update(f"{path.relative_to(places.REPOSITORY)}\0".encode() + path.read_bytes() + b"\0")
        return state.hexdigest()


IMAGES = {
    image.name: image
    for image in (
        Image("sam2-tracker-redis", "tests/cluster/Dockerfile.redis", ()),
        Image(
            "sam2-tracker-operator",
            "Dockerfile.operator",
            ("requirements/operator.txt", "operator/sam2_operator"),
        ),
        Image(
            "cvat-standin",
            "tests/cvat_standin/Dockerfile",
            ("requirements/standin.txt", "tests/__init__.py", "tests/cvat_standin"),
        ),
        Image(
            "sam2-tracker-agent",
            "Dockerfile.agent",
            ("requirements/torch.txt", "requirements/agent.txt", "requirements/sam2.txt", "agent/sam2_agent"),
        ),
    )
}


def version() -> str:
    """The project's version, which is the images' tag."""
    with (places.REPOSITORY / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["project"]["version"]
    return found


def build(names: Iterable[str] = tuple(IMAGES)) -> None:
    """Build those that are not up to date.

    Raises:
        ClusterError: nothing here builds images, or a build failed; with its last words.
    """
    with held(_folder() / ".lock", "a build of images"):
        _build([_named(name) for name in names])


def _build(images: Iterable[Image]) -> None:
    folder = _folder()
    engine = engines.find(folder)
    base = _base(engine)
    for image in images:
        stamp = folder / f"{image.name}.built"
        wanted = f"{engine.name} {base} {version()} {image.digest()}"
        if stamp.exists() and stamp.read_text() == wanted and engine.has(image.tag):
            continue
        with step(f"image {image.name}:{version()} ({engine.name})"):
            arguments = {"BASE": base, "VERSION": version()}
            engine.build(image.tag, places.REPOSITORY / image.dockerfile, places.REPOSITORY, arguments)
        stamp.write_text(wanted)


def export(name: str) -> Path:
    """Build an image if need be, and give it as an OCI layout or archive for nodes to import."""
    with held(_folder() / ".lock", "a build of images"):
        _build([_named(name)])
        return _export(_named(name))


def _export(image: Image) -> Path:
    folder = _folder() / image.name
    folder.mkdir(exist_ok=True)
    built = (_folder() / f"{image.name}.built").read_text()
    stamp = folder / "exported"
    if stamp.exists():
        digest, _, path = stamp.read_text().partition("\n")
        if digest == built and Path(path).exists():
            return Path(path)
    with step(f"export {image.name}"):
        written = engines.find(_folder()).export(image.tag, folder)
    stamp.write_text(f"{built}\n{written}")
    return written


def _named(name: str) -> Image:
    if name not in IMAGES:
        raise ClusterError(f"no image is named {name}: there are {', '.join(IMAGES)}")
    return IMAGES[name]


def _folder() -> Path:
    folder = places.cache() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _base(engine: Engine) -> str:
    """The base that was asked for, or the public one, or one from Debian packages if no registry is near."""
    if chosen := os.environ.get("BASE_IMAGE"):
        return chosen
    if engine.reaches_registries:
        return PUBLIC_BASE
    if not engine.has(_BASE_TAG):
        with step("base image from Debian packages"), tempfile.TemporaryDirectory(dir=_folder()) as folder:
            archive = Path(folder) / "root.tar"
            packages = f"--include={','.join(_BASE_PACKAGES)}"
            run(["debootstrap", "--variant=minbase", packages, "bookworm", f"{folder}/root"])
            for left in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
                run(["find", f"{folder}/root/{left}", "-type", "f", "-delete"])
            run(
                [
                    "tar",
                    f"--directory={folder}/root",
                    "--exclude=./dev/*",
                    "--create",
                    f"--file={archive}",
                    ".",
                ]
            )
            engine.import_root(_BASE_TAG, archive)
    return _BASE_TAG


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/images.sh", description=__doc__)
    parser.add_argument("image", nargs="*", help=f"of {', '.join(IMAGES)}; default: all")
    arguments = parser.parse_args()
    try:
        build(arguments.image or IMAGES)
    except ClusterError as error:
        say(f"error: {error}")
        return 1
    for name in arguments.image or IMAGES:
        print(f"{name}:{version()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
