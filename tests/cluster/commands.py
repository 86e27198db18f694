"""Running a program to its end."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError


def run(command: Sequence[str | Path], *, stdin: str | None = None) -> str:
    """Run it and give its output.

    Raises:
        ClusterError: it is not installed, or it failed; with what it said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed: run hack/setup.sh") from error
    if done.returncode:
        raise ClusterError(f"{' '.join(words)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
