"""The images, brought to where the cluster finds them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from tests.cluster import images as built
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.targets import Target
from tests.demo.errors import DemoError

REGISTRY = "IMAGE_REGISTRY"
"""Environment variable: where to push for a cluster that is not the local one."""


@dataclass(frozen=True, slots=True)
class Images:
    """How the cluster names each image; `registry` is empty where its nodes have the images already."""

    registry: str = ""

    @property
    def operator(self) -> str:
        """The operator's image."""
        return self.reference("sam2-tracker-operator")

    @property
    def standin(self) -> str:
        """The image of CVAT's stand-in."""
        return self.reference("cvat-standin")

    def reference(self, name: str) -> str:
        """Registry, name and tag of one of the project's images."""
        return f"{self.registry}/{name}:{built.version()}" if self.registry else built.IMAGES[name].tag

    def chart_values(self) -> list[str]:
        """Helm's options that choose these images."""
        options = []
        for part in ("operator", "agent", "redis"):
            repository, tag = self.reference(f"sam2-tracker-{part}").rsplit(":", 1)
            options += [
                f"--set-string={part}.image.repository={repository}",
                f"--set-string={part}.image.tag={tag}",
            ]
        return options


def bring(target: Target) -> Images:
    """Build what is not up to date; give it to the local cluster's nodes, or push it to a registry.

    Where the environment says IMAGES=loaded, the nodes have them already, by `kind load` for example.

    Raises `DemoError` when the cluster is another and the environment names no registry, or the push fails.
    """
    if target.local:
        target.load(built.IMAGES)
        return Images()
    if os.environ.get("IMAGES") == "loaded":
        return Images()
    registry = os.environ.get(REGISTRY, "").rstrip("/")
    if not registry:
        raise DemoError(
            "your cluster cannot see images that are built here",
            advice=f"name a registry that both reach: make demo KUBECONFIG=... {REGISTRY}=example.com/me; "
            "or run hack/images.sh, load the images onto its nodes yourself, and add IMAGES=loaded",
        )
    built.build()
    images = Images(registry)
    for name in built.IMAGES:
        _push(built.IMAGES[name].tag, images.reference(name), registry)
    return images


def _push(tag: str, reference: str, registry: str) -> None:
    engine = next((name for name in ("docker", "podman", "buildah") if shutil.which(name)), "docker")
    try:
        run([engine, "tag", tag, reference])
        run([engine, "push", reference])
    except ClusterError as error:
        raise DemoError(
            f"{reference} could not be pushed: {error}", advice=f"sign in first: {engine} login {registry}"
        ) from error
