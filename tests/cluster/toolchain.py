"""The Go compiler: this machine's own, or, where that is too old to build today's modules, a current one.

Go publishes its toolchains as modules, and an old Go can fetch them: from the same proxy as every other
module, verified by the same checksum database.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import places
from tests.cluster.commands import run
from tests.cluster.errors import ClusterError
from tests.cluster.progress import step

# From here on Go fetches by itself the version that a go.mod asks for.
_FETCHES_OTHERS = (1, 21)
_VERSION = "1.26.8"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def go() -> Path:
    """A compiler that builds the modules here.

    Raises:
        ClusterError: there is no Go at all, or no toolchain for this machine.
    """
    found = shutil.which("go")
    if found is None:
        raise ClusterError("Go is not installed: hack/apt.sh installs it")
    if release(run([found, "version"])) >= _FETCHES_OTHERS:
        return Path(found)
    compiler = places.cache() / f"go{_VERSION}" / "bin" / "go"
    if not compiler.exists():
        with step(f"fetch Go {_VERSION}"):
            _fetch(found, compiler.parent.parent)
    return compiler


def release(version: str) -> tuple[int, int]:
    """Major and minor number from the answer to ``go version``.

    Raises:
        ClusterError: it names none.
    """
    match = re.search(r"\bgo(\d+)\.(\d+)", version)
    if match is None:
        raise ClusterError(f"this is no version of Go: {version.strip()}")
    return int(match[1]), int(match[2])


def _fetch(old: str, folder: Path) -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise ClusterError(
            f"no Go toolchain is known for {platform.machine()}: install Go {_VERSION} by hand"
        )
    module = f"golang.org/toolchain@v0.0.1-go{_VERSION}.linux-{machine}"
    with tempfile.TemporaryDirectory(dir=places.cache()) as scratch:
        command = [old, "mod", "download", "-json", module]
        environment = {**os.environ, "GO111MODULE": "on", "GOFLAGS": "-mod=mod"}
        done = subprocess.run(
            command, cwd=scratch, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"Go {_VERSION} could not be fetched: {done.stdout}{done.stderr}")
        copy = Path(scratch) / "go"
        # A module's files come read-only and without the right to run.
        shutil.copytree(json.loads(done.stdout)["Dir"], copy, copy_function=shutil.copyfile)
        for each in (copy, *copy.rglob("*")):
            runs = each.is_dir() or each.parent.name == "bin" or "tool" in each.parts
            each.chmod(0o755 if runs else 0o644)
        copy.replace(folder)
