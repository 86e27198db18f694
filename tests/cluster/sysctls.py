"""Settings of the kernel that a kubelet insists on, put back when the cluster ends."""

import json
from pathlib import Path

_SET_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember(file: Path) -> None:
    """Note the values as they were before the first kubelet started."""
    if not file.exists():
        places = (Path("/proc/sys") / name for name in _SET_BY_KUBELET)
        file.write_text(json.dumps({str(place): place.read_text() for place in places if place.exists()}))


def restore(file: Path) -> None:
    """Put back what differs."""
    if file.exists():
        for place, value in json.loads(file.read_text()).items():
            if Path(place).read_text() != value:
                Path(place).write_text(value)
