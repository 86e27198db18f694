"""The small world of the agent's tests, with a Redis that keeps an append-only file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import DURABLE, RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, *DURABLE)
    server.start()
    yield server
    server.kill()
