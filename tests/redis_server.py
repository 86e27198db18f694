"""A real Redis for a test: Debian's redis-server on a free port, and the fixture `redis_server`."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from tests.ports import free_port

START_SECONDS = 20.0

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
"""Options of a server whose data survive a crash, but for its last second."""


class RedisServer:
    """A redis-server process with a folder of its own; data survive `kill` and `start` as its options say."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Start the server, with `more` options this once, and wait until it answers."""
        self.launch(*more)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._running().poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "redis.log").read_text())
            time.sleep(0.02)

    def launch(self, *more: str) -> None:
        """Start the server; it does not answer yet."""
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not installed; hack/apt.sh installs it")
        listening = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command = [program, *listening, "--save", "", "--logfile", "redis.log", *self._options, *more]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kill the server as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let the server hang: connections stay open and are accepted, nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the server go on."""
        self._running().send_signal(signal.SIGCONT)

    def forget_last(self, commands: int) -> int:
        """Cut the last commands off the append-only file of a killed server, as a power failure may.

        Return how many are left.  What a transaction or script wrote is one command.
        """
        [file] = self.folder.glob("appendonlydir/*.incr.aof")
        data = file.read_bytes()
        ends = _command_ends(data)
        kept = max(0, len(ends) - commands)
        file.write_bytes(data[: ends[kept - 1] if kept else 0])
        return kept

    def client(self) -> redis.Redis:
        """A client for the test's own looks and faults."""
        return redis.Redis.from_url(self.url)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("the server was not started")
        return self._process

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True  # it answers, though not to a stranger
        except redis.RedisError:
            return False


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """An empty Redis of this test's own."""
    with TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _command_ends(data: bytes) -> list[int]:
    """Where commands end in an append-only file; MULTI to EXEC is one."""
    ends: list[int] = []
    position, in_transaction = 0, False
    while position < len(data):
        count = _number(data, position, b"*")
        position = data.index(b"\r\n", position) + 2
        words = []
        for _ in range(count):
            length = _number(data, position, b"$")
            start = data.index(b"\r\n", position) + 2
            words.append(data[start : start + length])
            position = start + length + 2
        in_transaction = words[0].upper() == b"MULTI" or (in_transaction and words[0].upper() != b"EXEC")
        if not in_transaction:
            ends.append(position)
    return ends


def _number(data: bytes, position: int, mark: bytes) -> int:
    found = re.compile(re.escape(mark) + rb"(\d+)\r\n").match(data, position)
    if found is None:
        raise ValueError(f"no command at byte {position} of the append-only file")
    return int(found[1])
