"""The chart's Redis without a pod: its configuration and scripts, run by this machine's redis-server."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chart.helm import Manifest
from tests.ports import free_port

START_SECONDS = 20.0


@dataclass
class RedisPod:
    """What a kubelet does with the chart's Redis: init container, server, probes, and a volume that stays.

    Args:
        config: the rendered ConfigMap's data.
        folder: stands for the pod's file system.
    """

    config: dict[str, str]
    folder: Path
    port: int = 0
    _server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.volume.mkdir()
        for name, text in self.config.items():
            (self.folder / name).write_text(
                text.replace("/data", str(self.volume)).replace("\nport 6379\n", f"\nport {self.port}\n")
            )
        # The probes name no port: the pod's Redis is on the usual one.
        client = self.folder / "bin" / "redis-cli"
        client.parent.mkdir()
        client.write_text(f'#!/bin/sh\nexec /usr/bin/redis-cli -p {self.port} "$@"\n')
        client.chmod(0o755)

    @property
    def volume(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def acl_file(self) -> Path:
        return self.volume / "users.acl"

    def initialize(self, password: str) -> subprocess.CompletedProcess[str]:
        """Run the init container with that password in the mounted Secret."""
        secret = self.folder / "password"
        secret.write_text(password)
        return self._run("init-acl.sh", str(secret), str(self.acl_file))

    def probe(self, kind: str) -> bool:
        return self._run("probe.sh", kind).returncode == 0

    def start(self) -> None:
        """Start the server and wait until its readiness probe succeeds."""
        self.launch()
        self.wait_for("ready")

    def launch(self) -> None:
        """Start the server; it may take a while to answer."""
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                ["redis-server", str(self.folder / "redis.conf")], stdout=log, stderr=subprocess.STDOUT
            )

    def wait_for(self, kind: str) -> None:
        """Wait until that probe succeeds; an assertion fails with the server's log if it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not self.probe(kind):
            assert self._server is not None
            assert self._server.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()

    def stop(self, *, kill: bool = False) -> None:
        if self._server is None:
            return
        if kill:
            self._server.kill()
        else:
            self._server.terminate()
        self._server.wait(timeout=20)
        self._server = None

    def arguments(self) -> str:
        """The command line of the running server, as any process of the machine sees it."""
        assert self._server is not None
        return Path(f"/proc/{self._server.pid}/cmdline").read_text()

    def client(self, username: str | None = None, password: str | None = None) -> redis.Redis:
        return redis.Redis(
            port=self.port,
            username=username,
            password=password,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
        )

    def _run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(self.folder / script), *arguments],
            env={"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )


def pod_of(config_map: Manifest, folder: Path) -> RedisPod:
    """The pod that a rendered ConfigMap configures."""
    return RedisPod(dict(config_map["data"]), folder)
