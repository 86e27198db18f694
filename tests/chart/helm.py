"""helm as a function: what the chart renders with which values, and how it refuses them."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import binaries, places

CHART = places.REPOSITORY / "charts" / "sam2-tracker-operator"
VALUE_SETS = sorted((Path(__file__).parent / "values").glob("*.yaml"))

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """The objects of a rendered release, hooks included."""

    objects: list[Manifest]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [each for each in self.objects if each["kind"] in kinds]

    def one(self, kind: str, name: str) -> Manifest:
        [found] = [each for each in self.of_kind(kind) if each["metadata"]["name"] == name]
        return found

    def pods(self) -> dict[str, Manifest]:
        """Every pod template, by the kind and name of what makes pods of it."""
        return {
            f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]
            for each in self.of_kind("Deployment", "StatefulSet", "DaemonSet", "Job")
        }


class Helm:
    """Runs the built helm, with nothing of the user's own configuration."""

    def __init__(self, home: Path, kubeconfig: Path | None = None) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig or home / "no-cluster"),
        }

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries.program("helm")), *map(str, arguments)],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"helm {' '.join(map(str, arguments))}: {done.stderr}"
        return done.stdout

    def template(
        self,
        values: Path | None = None,
        *,
        release: str = "sam2-tracker",
        namespace: str = "cvat",
        **chosen: object,
    ) -> Rendered:
        """Render the chart; ``chosen`` are values by their path, dots written as ``__``."""
        output = self("template", release, CHART, "--namespace", namespace, *_arguments(values, chosen))
        return Rendered([each for each in yaml.safe_load_all(output) if each])

    def refusal(self, **chosen: object) -> str:
        """What helm says when it refuses the values."""
        done = self.run("template", "sam2-tracker", CHART, *_arguments(None, chosen))
        assert done.returncode != 0, f"these values should be refused: {chosen}"
        return done.stderr


def _arguments(values: Path | None, chosen: dict[str, object]) -> list[str]:
    files = ["--values", str(values)] if values else []
    return [
        *files,
        *(f"--set-json={path.replace('__', '.')}={json.dumps(value)}" for path, value in chosen.items()),
    ]
