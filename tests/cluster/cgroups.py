"""The cgroups in which a node keeps its pods: in every hierarchy of version 1, or in version 2's only one."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.cluster.waiting import wait_until


def _hierarchies(*kinds: str) -> list[Path]:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(fields[1]) for fields in mounts if fields[2] in kinds]


def create(name: str) -> None:
    """Make it in each hierarchy that has controllers, ready to take processes."""
    for hierarchy in _hierarchies("cgroup") or _hierarchies("cgroup2"):
        unified = hierarchy / "cgroup.controllers"
        if unified.exists():
            wanted = {"cpu", "cpuset", "memory", "pids", "io", "hugetlb"} & set(unified.read_text().split())
            (hierarchy / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in sorted(wanted)))
        (hierarchy / name).mkdir(exist_ok=True)
        # Version 1 leaves a new cpuset empty, and an empty one takes no process.
        for file in ("cpuset.cpus", "cpuset.mems"):
            mine = hierarchy / name / file
            if not unified.exists() and mine.exists() and not mine.read_text().strip():
                mine.write_text((hierarchy / file).read_text())


def remove(name: str, *, patience: float = 20.0) -> bool:
    """Kill what runs in it and remove it; say whether nothing of it is left after patience (seconds)."""
    return wait_until(lambda: _removed(name), patience)


def signal_all(name: str, number: signal.Signals) -> None:
    """Send a signal to every process in it; those that come while it is sent are not missed."""
    told: set[int] = set()
    while new := pids(name) - told:
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        told |= new


def pids(name: str, *, below: str = "") -> set[int]:
    """What runs in it: all, or only what runs in cgroups of which a part of the path is named so."""
    found: set[int] = set()
    for hierarchy in _hierarchies("cgroup", "cgroup2"):
        for folder in _leaves_first(hierarchy / name):
            if below not in str(folder):
                continue
            with suppress(OSError):  # it went meanwhile
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    return found


def _removed(name: str) -> bool:
    everywhere = _hierarchies("cgroup", "cgroup2")
    for hierarchy in everywhere:
        for folder in _leaves_first(hierarchy / name):
            try:
                for pid in (folder / "cgroup.procs").read_text().split():
                    _kill(int(pid))
                folder.rmdir()
            except OSError:
                continue  # Processes that were killed take a moment to go: the caller asks again.
    return not any((hierarchy / name).exists() for hierarchy in everywhere)


def _leaves_first(folder: Path) -> Iterator[Path]:
    for parent, _, _ in os.walk(folder, topdown=False):
        yield Path(parent)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
