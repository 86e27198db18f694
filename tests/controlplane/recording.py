"""Every version of some objects, as the API server tells them to anyone who watches."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster.kubectl import program
from tests.cvat_standin.client import wait_for

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Version:
    """One object as it was from one moment on."""

    object: dict[str, Any]
    deleted: bool

    @property
    def number(self) -> int:
        """The resourceVersion, which orders the versions of all objects."""
        return int(self.object["metadata"]["resourceVersion"])


class Recording(AbstractContextManager["Recording"]):
    """Watches a path of the API from now on, while inside."""

    def __init__(self, kubeconfig: Path, path: str) -> None:
        command = [str(program()), "--kubeconfig", str(kubeconfig), "get", "--raw", f"{path}?watch=1"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._versions: list[Version] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def versions(self) -> list[Version]:
        """All versions that were seen, oldest first."""
        return sorted(self._versions, key=lambda version: version.number)

    def until_deleted(self, within: float = 30.0) -> list[Version]:
        """All versions, once the deletion was seen."""
        wait_for(
            lambda: any(version.deleted for version in self._versions), "the last version", within=within
        )
        return self.versions()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._versions.append(Version(event["object"], deleted=event["type"] == "DELETED"))

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
