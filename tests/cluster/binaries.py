"""Builds the programs of the cluster from pinned Go modules, each set in a module of its own under ``go/``.

What was built is stamped with a digest of its module, so that a second call takes no time. A lock lets
several callers ask at once: one builds, the others wait for it.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import places
from tests.cluster.errors import ClusterError
from tests.cluster.locks import held
from tests.cluster.progress import step
from tests.cluster.toolchain import go

KUBERNETES_VERSION = "v1.34.4"


@dataclass(frozen=True)
class Module:
    """A Go module under ``go/`` and the programs that it gives, by the package that each is built from."""

    name: str
    programs: dict[str, str]
    ldflags: str = "-s -w"

    @property
    def folder(self) -> Path:
        return places.SOURCES / "go" / self.name

    def digest(self) -> str:
        """A digest of everything that decides what is built, the compiler apart."""
        state = hashlib.sha256(repr((self.programs, self.ldflags)).encode())
        for path in sorted([*self.folder.glob("go.*"), *self.folder.glob("*.go")]):
            state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return state.hexdigest()


def _version_flags(version: str) -> str:
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())


_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

MODULES = {
    module.name: module
    for module in (
        Module("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
        Module("helm", {"helm": "helm.sh/helm/v4/cmd/helm"}),
        Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
        Module(
            "kubernetes",
            {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
            ldflags=f"-s -w {_version_flags(KUBERNETES_VERSION)}",
        ),
        Module("coredns", {"coredns": "."}),
        Module("pause", {"pause": "."}),
    )
}
CONTROL_PLANE = ("etcd", "kubernetes")
NODE = (*CONTROL_PLANE, "coredns", "pause")


def program(name: str) -> Path:
    """The path of a built program; ``ensure`` its module first."""
    return places.programs() / name


def ensure(names: Iterable[str] = tuple(MODULES)) -> None:
    """Build the modules that are not built yet.

    Raises:
        ClusterError: Go is absent or too old, or a build failed; the compiler's words are in the sentence.
    """
    names = tuple(names)
    if unknown := sorted(set(names) - set(MODULES)):
        raise ClusterError(f"no module is named {', '.join(unknown)}: there are {', '.join(MODULES)}")
    modules = [MODULES[name] for name in names]
    if all(_is_built(module) for module in modules):
        return
    with held(places.programs() / ".lock", "a build"):
        for module in modules:
            if not _is_built(module):
                _build(module)


def _stamp(module: Module) -> Path:
    return places.programs() / f".{module.name}.digest"


def _is_built(module: Module) -> bool:
    try:
        built = _stamp(module).read_text()
    except FileNotFoundError:
        return False
    return built == module.digest() and all(program(name).exists() for name in module.programs)


def _build(module: Module) -> None:
    compiler = go()
    digest = module.digest()
    what = f"build {module.name} ({', '.join(module.programs)})"
    with step(what), tempfile.TemporaryDirectory(dir=places.programs(), prefix=".building-") as built:
        for output, packages in _outputs(module, Path(built)).items():
            command = [
                str(compiler),
                "build",
                "-trimpath",
                "-ldflags",
                module.ldflags,
                "-o",
                output,
                *packages,
            ]
            done = subprocess.run(
                ["nice", *command],
                cwd=module.folder,
                env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            if done.returncode:
                raise ClusterError(f"{module.name} was not built: {done.stdout[-2000:]}")
        for name in module.programs:
            (Path(built) / name).replace(program(name))
    _stamp(module).write_text(digest)


def _outputs(module: Module, folder: Path) -> dict[str, list[str]]:
    """What ``go build`` writes from which packages: one call for several programs shares their compiling."""
    if len(module.programs) == 1:
        [(name, package)] = module.programs.items()
        return {str(folder / name): [package]}
    return {f"{folder}/": list(module.programs.values())}
