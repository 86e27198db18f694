"""The images, brought to where the cluster finds them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from tests.cluster import images as built
from tests.cluster.cluster import local
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
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
        return self._reference("sam2-tracker-operator")

    @property
    def standin(self) -> str:
        """The image of CVAT's stand-in."""
        return self._reference("cvat-standin")

    def chart_values(self) -> list[str]:
        """Helm's options that choose these images."""
        parts = {
            "operator": "sam2-tracker-operator",
            "agent": "sam2-tracker-agent",
            "redis": "sam2-tracker-redis",
        }
        return [
            f"--set-string={part}.image.{key}={value}"
            for part, name in parts.items()
            for key, value in zip(("repository", "tag"), self._reference(name).rsplit(":", 1), strict=True)
        ]

    def _reference(self, name: str) -> str:
        tag = built.IMAGES[name].tag
        return f"{self.registry}/{name}:{built.version()}" if self.registry else tag


def load() -> Images:
    """Build what is not up to date, and import it into the local cluster's nodes."""
    for name in built.IMAGES:
        local().load_image(built.export(name))
    return Images()


def push() -> Images:
    """Build what is not up to date, and push it to the registry that the environment names.

    Raises `DemoError` when it names none, or the push fails.
    """
    registry = os.environ.get(REGISTRY, "").rstrip("/")
    if not registry:
        raise DemoError(
            "your cluster cannot see images that are built here",
            advice=f"name a registry that both reach: make demo KUBECONFIG=... {REGISTRY}=example.com/me",
        )
    built.build()
    images = Images(registry)
    engine = next((name for name in ("docker", "podman", "buildah") if shutil.which(name)), "docker")
    for name, image in built.IMAGES.items():
        target = images._reference(name)
        try:
            run([engine, "tag", image.tag, target])
            run([engine, "push", target])
        except ClusterError as error:
            raise DemoError(
                f"{target} could not be pushed: {error}", advice=f"sign in first: {engine} login {registry}"
            ) from error
    return images
