"""Long-running processes: started detached with a log each, remembered in a folder, ended by process id.

A remembered id counts only together with the time at which the process began: an id that the kernel gave to
another process since is never signalled.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.waiting import wait_until


class Processes:
    """The processes of one cluster: ids under ``folder/pids``, output under ``folder/logs``.

    Args:
        folder: where ids and logs are kept.
        die_with_parent: have the kernel end each process when the one that started it dies, however it dies.
        environment: what they find in their environment besides this process's own.
    """

    def __init__(
        self, folder: Path, *, die_with_parent: bool = False, environment: dict[str, str] | None = None
    ) -> None:
        self._ids = folder / "pids"
        self._logs = folder / "logs"
        self._prefix = ("setpriv", "--pdeathsig", "KILL") if die_with_parent else ()
        self._environment = environment or {}

    def log(self, name: str) -> Path:
        """Where the process of that name writes its output."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """Its process id while it runs."""
        try:
            pid, began = (self._ids / name).read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        _reap(int(pid))
        return int(pid) if _began(int(pid)) == began else None

    def start(self, name: str, command: Sequence[str | Path], *, inside: str | None = None) -> None:
        """Start it unless it runs; in the network and mount namespaces of the process named ``inside``."""
        if self.pid(name) is not None:
            return
        self._ids.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        argv = [str(part) for part in (*self.entry(inside), *self._prefix, *command)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        pid = os.posix_spawnp(
            argv[0],
            argv,
            {**os.environ, **self._environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log(name)), flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=(),
        )
        (self._ids / name).write_text(f"{pid} {_began(pid)}")

    def entry(self, holder: str | None) -> tuple[str, ...]:
        """The words before a command that make it run in the namespaces of a process of ours.

        Raises:
            ClusterError: that process does not run.
        """
        if holder is None:
            return ()
        pid = self.pid(holder)
        if pid is None:
            raise ClusterError(
                f"{holder} does not run: its namespaces are gone; take the cluster down and up"
            )
        return ("nsenter", f"--target={pid}", "--net", "--mount", "--")

    def stop(self, name: str, *, kill: bool = False, patience: float = 20.0) -> None:
        """End it and wait until it is gone; kill it if asked to, or once patience (seconds) is over."""
        for number in [signal.SIGKILL] if kill else [signal.SIGTERM, signal.SIGKILL]:
            pid = self.pid(name)
            if pid is None:
                break
            os.kill(pid, number)
            wait_until(lambda: self.pid(name) is None, patience)
        (self._ids / name).unlink(missing_ok=True)

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines that it wrote, for a message that says why it failed."""
        path = self.log(name)
        if not path.exists():
            return "(no output)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def require(self, name: str) -> None:
        """Raise ClusterError with its last words if it does not run."""
        if self.pid(name) is None:
            raise ClusterError(f"{name} ended; its log {self.log(name)} says:\n{self.tail(name)}")


def _began(pid: int) -> str | None:
    """When a live process began, in the kernel's ticks; None if there is none, or only its exit status."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start_time = fields[0], fields[19]
    return None if state == "Z" else start_time


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
