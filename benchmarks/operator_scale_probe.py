"""What `operator_scale` reads: the operator's log, process and connections, the API server's audit log."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from sam2_operator.core.naming import FIELD_MANAGER

_RECONCILED = re.compile(r"(?P<tracker>\S+/\S+): (?P<result>\w+) after (?P<seconds>[\d.]+) s$")
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of durations, in milliseconds."""

    count: int
    p50: float
    p95: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Percentiles:
        """Give them; of less than two there are none."""
        if len(seconds) < 2:
            return cls(len(seconds), float("nan"), float("nan"))
        cuts = quantiles(seconds, n=20, method="inclusive")
        return cls(len(seconds), round(1000 * cuts[9], 2), round(1000 * cuts[18], 2))


class Tail:
    """Reads the lines that were added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._inode: int | None = None
        if path.exists():
            self._offset, self._inode = path.stat().st_size, path.stat().st_ino

    def lines(self) -> Iterator[str]:
        """Give the whole lines since the last look.

        Raises:
            RuntimeError: the file is another one now: what was written between is not known.
        """
        with self._path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode != (self._inode or inode):
                raise RuntimeError(f"{self._path} was replaced while it was read.")
            self._inode = inode
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                yield line.decode()


def reconciles(log: Tail) -> list[float]:
    """Give the seconds of each reconcile that the log tells of."""
    found = (_RECONCILED.search(line.rstrip()) for line in log.lines())
    return [float(each["seconds"]) for each in found if each is not None]


@dataclass(frozen=True, slots=True)
class Audit:
    """What the API server wrote down about the operator."""

    requests: int
    writes: int
    verbs: dict[str, int]


def audited(log: Tail) -> Audit:
    """Count the requests that the operator made; watches count when they end."""
    verbs: Counter[str] = Counter()
    for line in log.lines():
        event = json.loads(line)
        agent = event.get("userAgent", "")
        if agent == FIELD_MANAGER or agent.startswith("kopf"):
            what = event.get("objectRef", {}).get("resource", "?")
            verbs[f"{event['verb']} {what}"] += 1
    writes = sum(count for what, count in verbs.items() if what.split()[0] in _WRITES)
    return Audit(sum(verbs.values()), writes, dict(sorted(verbs.items())))


@dataclass(frozen=True, slots=True)
class Process:
    """A process, by its id."""

    pid: int

    def cpu_seconds(self) -> float:
        """Give the time that it has used of the processors."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mib(self) -> float:
        """Give its memory."""
        [line] = [
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if "VmRSS" in line
        ]
        return int(line.split()[1]) / 1024

    def connections(self, port: int) -> int:
        """Count open connections to a port."""
        inodes = set()
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue  # closed meanwhile
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        count = 0
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                established = fields[3] == "01"
                count += fields[9] in inodes and int(fields[2].rpartition(":")[2], 16) == port and established
        return count
