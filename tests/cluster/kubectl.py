"""kubectl as a function: the one way in which the cluster is asked and changed here."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster import binaries
from tests.cluster.errors import ClusterError


class Kubectl:
    """Runs kubectl with one kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it and give its output.

        Raises:
            ClusterError: it failed; with what it said.
        """
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise ClusterError(
                f"kubectl {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}"
            )
        return done.stdout

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run it, however it ends."""
        return subprocess.run(
            [str(program()), *arguments],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """``kubectl get -o json`` of those arguments."""
        answer: dict[str, Any] = json.loads(self("get", "-o", "json", *arguments))
        return answer

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply the objects, on the server's side, whoever owned their fields before."""
        documents = "\n---\n".join(json.dumps(each) for each in objects)
        self("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=documents)


def program() -> Path:
    """The built one; the machine's own where none was built, because the cluster is the user's."""
    built = binaries.program("kubectl")
    if built.exists():
        return built
    return Path(shutil.which("kubectl") or built)
